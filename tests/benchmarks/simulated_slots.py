"""Where a sweep saturates as it gets more slots: the coordinator, and the search with Ray Tune's
loop.

``python -m tests.benchmarks.simulated_slots [--coordinator 10 100 1000] [--search 4 16 48]``. A
simulated slot takes jobs from the real coordinator, reports at a realistic rate and ends them,
without training.

*The coordinator alone*: how long a report waits for its answer, and which part of a core the
coordinator takes, with a report per slot and second (a real slot sends a heartbeat every five
seconds and an evaluation every ten or more). *The search*: suggestions, schedulers, event log and
Ray Tune as in a sweep, trials of a fixed length; how long slots wait for their next trial, what the
driver computes per trial, and the memory of the driver and of the processes that Tune keeps, one
for each trial.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ray

from raykd.clusters.connection import connected
from raykd.results.event_log import EventLog
from raykd.search.arms import ArmsSearch
from raykd.spec.load import load_spec
from raykd.sweep.arm_studies import arm_studies, search_trial
from raykd.sweep.search import make_arm, open_storage, search
from raykd.sweep.trial_recorder import SearchRecorder, TrialRecorder
from raykd.trial.coordinator import CLOSE, IDLE, STOP, answer, start_coordinator
from tests.benchmarks._meter import private_bytes
from tests.synthetic_run import METRIC

SPACE = Path(__file__).parents[2] / "search_spaces" / "ckd_glue.yaml"
ARMS = ("none", "kd", "ckd")
EPOCHS, EPOCH_S = 4, 2.5
PER_SLOT = 3
WATCHED_S = 20


class Slots:
    """Many simulated slots in one process.

    Args:
        coordinator: Handle of the coordinator.
        epoch_s: Seconds between two reports.
    """

    def __init__(self, coordinator: Any, epoch_s: float) -> None:
        self._coordinator = coordinator
        self._epoch_s = epoch_s
        self._random = random.Random(0)

    async def run(self, numbers: list[int]) -> tuple[list[float], list[float]]:
        """Serve until the coordinator closes; seconds between jobs, and of every report."""
        waits: list[float] = []
        answers: list[float] = []
        await asyncio.gather(*(self._slot(n, waits, answers) for n in numbers))
        return waits, answers

    async def _slot(self, slot: int, waits: list[float], answers: list[float]) -> None:
        ended = 0.0
        await asyncio.sleep(self._random.random() * self._epoch_s)
        while True:
            job, attempt, _ = await self._coordinator.take.remote(slot, "node", 2.0)
            if job == CLOSE:
                return
            if job == IDLE:
                continue
            if ended:
                waits.append(time.monotonic() - ended)
            for epoch in range(1, EPOCHS + 1):
                await asyncio.sleep(self._epoch_s)
                began = time.monotonic()
                verdict = await self._coordinator.push.remote(job, attempt, self._event(epoch))
                answers.append(time.monotonic() - began)
                if verdict == STOP:
                    break
            ended = time.monotonic()

    def _event(self, epoch: int) -> dict[str, Any]:
        metrics = {METRIC: 0.5 + 0.4 * self._random.random()}
        return {
            "kind": "done" if epoch == EPOCHS else "evaluation",
            "evaluation": {"step": 78 * epoch, "epoch": float(epoch), "seconds": 9.0 * epoch,
                           "metrics": metrics, "terms": {"task": 0.7, "loss": 0.9}},
            "metrics": metrics, "seconds": 9.0 * epoch, "student": None,
        }  # fmt: skip


def simulated(coordinator: Any, count: int, epoch_s: float) -> list[Any]:
    """Start slots, 100 in a process at most; references to what they measured."""
    numbers = list(range(count))
    actor = ray.remote(Slots).options(num_cpus=0, max_concurrency=1000)
    return [
        actor.remote(coordinator, epoch_s).run.remote(numbers[k : k + 100])
        for k in range(0, count, 100)
    ]


def coordinator_figures(count: int) -> None:
    """The coordinator with jobs that are all there from the start."""
    name = f"coordinator-{count}"
    coordinator = start_coordinator(name, ray.get_runtime_context().namespace)
    jobs = [f"job-{k}" for k in range(count * 6)]
    ray.get([coordinator.submit.remote(job, None, 2) for job in jobs])
    pid = next(_pids("ray::CoordinatorState"))
    busy, began = _cpu_seconds(pid), time.monotonic()
    actual = simulated(coordinator, count, 1.0)
    time.sleep(WATCHED_S)
    used = (_cpu_seconds(pid) - busy) / (time.monotonic() - began)
    answer(coordinator.close.remote())
    answers = [s for _, part in ray.get(actual) for s in part]
    ray.kill(coordinator)
    print(
        f"coordinator, {count:5,} slots: {len(answers) / WATCHED_S:7,.0f} reports/s, answered in "
        f"{statistics.median(answers) * 1e3:6.1f} ms (median), "
        f"{sorted(answers)[int(0.99 * len(answers))] * 1e3:7.1f} ms (99 %), "
        f"{used:4.0%} of a core",
        flush=True,
    )


def search_figures(count: int) -> None:
    """A whole search with the driver's own parts."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder)
        trials = max(1, count * PER_SLOT // len(ARMS))
        spec = load_spec(
            SPACE, [f"search.trials={trials}", "tasks=[glue/rte]", "search.scheduler=none"]
        )
        chosen = {c.arm.name: c for c in arm_studies(spec) if c.arm.name in ARMS}
        name, namespace = f"search-{count}", ray.get_runtime_context().namespace
        coordinator = start_coordinator(name, namespace)
        recorder = SearchRecorder(
            TrialRecorder(
                coordinator, EventLog(run / "events.jsonl", lambda event: None), run, 1.0, 2
            ),
            chosen,
            lambda c, number, params: search_trial(spec, run, c, number, params),
            lambda config: "key",
            {"coordinator": name, "namespace": namespace},
        )
        storage = open_storage(run)
        arms = {arm: make_arm(spec, arm_study, storage) for arm, arm_study in chosen.items()}
        actual = simulated(coordinator, count, EPOCH_S)
        busy, began, memory = time.process_time(), time.monotonic(), private_bytes()
        peak = _Peak()
        search(
            ArmsSearch(arms, recorder, lambda: count), run=run, name=name, deadline=None,
            stop=threading.Event(), note=print,
        )  # fmt: skip
        wall, used = time.monotonic() - began, time.process_time() - busy
        answer(coordinator.close.remote())
        waits = [s for part, _ in ray.get(actual) for s in part]
        ray.kill(coordinator)
        total = trials * len(arms)
        length = EPOCHS * EPOCH_S
        print(
            f"search, {count:4} slots: {total:4} trials in {wall:6.1f} s, slots at work "
            f"{total * length / (wall * count):4.0%}; next trial after "
            f"{statistics.median(waits or [0]):5.2f} s; driver {used / total * 1e3:5.0f} ms of a "
            f"core and {(private_bytes() - memory) / total / 1e3:4.0f} kB a trial; Tune's "
            f"{peak.end()} processes {peak.bytes / 2**20 / max(1, peak.count):4.0f} MiB each",
            flush=True,
        )


class _Peak:
    """Watches the processes that Tune keeps."""

    def __init__(self) -> None:
        self.count = self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> int:
        """Stop; how many there were at one time."""
        self._over.set()
        self._thread.join()
        return self.count

    def _watch(self) -> None:
        while not self._over.wait(2.0):
            pids = list(_pids("ray::ImplicitFunc"))
            with contextlib.suppress(OSError):  # one ended meanwhile
                size = sum(private_bytes(pid) for pid in pids)
                if len(pids) >= self.count:
                    self.count, self.bytes = len(pids), size


def _pids(title: str) -> Any:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().decode(errors="replace").startswith(title):
                yield int(path.parent.name)
        except OSError:
            continue


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coordinator", type=int, nargs="*", default=[10, 100, 300, 1000])
    parser.add_argument("--search", type=int, nargs="*", default=[4, 16, 48])
    args = parser.parse_args()
    with connected(None):
        for count in args.coordinator:
            coordinator_figures(count)
        for count in args.search:
            search_figures(count)


if __name__ == "__main__":
    main()
