"""A small sweep that is submitted to a cluster from the laptop, watched, and judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from raykd.results.records import Status, SweepResult
from raykd.results.store import load_results, read_events
from tests.cluster.host import CommandFailed, Host, wait_for

DASHBOARD = "http://127.0.0.1:8265"
SEEDS = (1, 2)
ARMS = ("none", "kd")

SPACE = f"""\
name: lan
tasks: [toy/sentiment]
data:
  limit: 1200
  max_length: 32
  student_rows: 400
  select_on: {{split: validation}}
  report_on: {{split: test}}
teacher:
  model: {{family: bert, layers: 1, hidden: 32, heads: 2}}
  finetune: {{epochs: 2, lr: 3e-3}}
student:
  model: {{family: bert, layers: 1, hidden: 16, heads: 2}}
train: {{epochs: 40, batch_size: 16, lr: {{loguniform: [1e-4, 1e-2]}}}}
methods:
  none: {{}}
  kd: {{alpha: {{uniform: [0.1, 0.9]}}}}
confirm: {{seeds: {list(SEEDS)}}}
report: {{path: /root/reports/lan.html}}
"""
"""Trials of a few seconds."""


class SubmittedSweep:
    """A sweep that runs on the head as a Ray job, and what it has recorded so far.

    Args:
        laptop: Where it is submitted.
        cluster_file: The cluster file on the laptop, below its HOME.
        head: The host whose disk holds the run folder.
        trials: For each arm.
        overrides: ``a.b=c`` changes to the search space.
    """

    def __init__(
        self,
        laptop: Host,
        cluster_file: str,
        head: Host,
        *,
        trials: int,
        overrides: Sequence[str] = (),
    ) -> None:
        self._head = head
        self._trials = trials
        self.log = laptop.disk / "sweep.log"
        laptop.write("space/space.yaml", SPACE)
        # The dashboard listens on the head's own address 127.0.0.1 only: this is its tunnel.
        laptop.start(f"ray dashboard {cluster_file}", laptop.disk / "tunnel.log")
        refused: list[str] = []
        wait_for(lambda: _answers(laptop, refused), lambda: f"the dashboard: {refused[-1]}")
        self._job = laptop.start(
            f"ray job submit --address {DASHBOARD} --working-dir space -- "
            "python -m raykd sweep space.yaml --address auto --out /root/runs --format json "
            f"--trials {trials} " + " ".join(f"--set {change}" for change in overrides),
            self.log,
        )

    def __str__(self) -> str:
        reported = self.log.read_text() if self.log.exists() else ""
        return f"the sweep has said:\n{reported[-6000:]}"

    @property
    def run(self) -> Path:
        """The run folder, as this machine sees it.

        Raises:
            AssertionError: There is none yet.
        """
        (actual,) = (self._head.home / "runs").glob("lan-*")
        return actual

    def result(self) -> SweepResult:
        """What is recorded."""
        return load_results(self.run)

    def finished_on(self, host: Host) -> list[str]:
        """Trials that a host has finished so far."""
        if not list((self._head.home / "runs").glob("lan-*/events.jsonl")):
            return []
        trials = (e["result"] for e in self._events("trial_finished"))
        return [t["trial_id"] for t in trials if t["node"] == host.address]

    def teacher_bytes(self) -> int:
        """What the teacher takes in an object store."""
        (ready,) = self._events("teacher_ready")
        size: int = ready["teacher"]["store_bytes"]
        return size

    def wait_until_finished_on(self, host: Host, trials: int) -> None:
        """Wait until a host has finished some trials, while the sweep continues."""

        def there() -> bool:
            if self._job.poll() is not None:
                raise AssertionError(f"ended with {self._job.returncode}, {self}")
            return len(self.finished_on(host)) >= trials

        wait_for(there, lambda: f"{trials} trials on {host.name}; {self}")

    def wait_for_success(self) -> None:
        """Wait until the job has ended with 0, which is then the sweep's exit code, too."""
        wait_for(lambda: self._job.poll() is not None, lambda: f"an end; {self}")
        if self._job.returncode != 0:
            raise AssertionError(f"exit code {self._job.returncode}; {self}")

    def assert_complete(self) -> None:
        """Every trial of the plan was recorded once, none failed, and the report is written."""
        ends = Counter(e["result"]["trial_id"] for e in self._events("trial_finished"))
        search = [f"toy-sentiment.{arm}.s{n:03d}" for arm in ARMS for n in range(self._trials)]
        confirm = [f"toy-sentiment.{arm}.c0.{seed}" for arm in ARMS for seed in SEEDS]
        assert ends == Counter(search + confirm), str(self)
        result = self.result()
        assert {t.status for t in result.trials} == {Status.COMPLETED}, str(self)
        assert all(t.history and t.objective is not None for t in result.trials)
        assert len(pq.read_table(self.run / "trials.parquet")) == len(search + confirm)
        report = self._head.home / "reports" / "lan.html"
        assert report.read_bytes().rstrip().endswith(b"</html>")
        assert list(self._events("sweep_finished"))[-1]["status"] == "done"

    def _events(self, kind: str) -> list[dict]:
        return [e for e in read_events(self.run / "events.jsonl")[0] if e["event"] == kind]


def _answers(laptop: Host, refused: list[str]) -> bool:
    """Whether the dashboard takes a call; its message if not is added to the list."""
    try:
        laptop.run(f"ray job list --address {DASHBOARD}")
    except CommandFailed as exc:
        refused.append(str(exc))
        return False
    return True
