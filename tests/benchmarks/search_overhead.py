"""What a long search costs besides its trials: suggestions, driver memory, run folder, report.

``python -m tests.benchmarks.search_overhead [TRIALS]`` (10,000 unless given). The CKD arm of
`search_spaces/ckd_glue.yaml` is searched through the driver's own parts: study on disk, scheduler,
recorder, event log, coordinator. Scores are drawn at random in place of trials, and Ray Tune is
left
out: what it keeps of a trial is not in these figures. Between the marks a random sampler fills the
study. At a mark suggestions are timed with the sampler of the search space and, as the baseline,
with the same one looking at every trial: the least of several, which a busy machine disturbs least.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import ray

from raykd import params, registry
from raykd.clusters.connection import connected
from raykd.report.build import build_report
from raykd.results.event_log import EventLog
from raykd.results.store import load_results, write_trials
from raykd.search.arms import ArmsScheduler, ArmsSearch
from raykd.search.space import domains_of
from raykd.spec.load import load_spec
from raykd.sweep.arm_studies import arm_studies, search_trial
from raykd.sweep.search import make_arm, open_storage
from raykd.sweep.trial_recorder import SearchRecorder, TrialRecorder
from raykd.trial.coordinator import start_coordinator
from tests.benchmarks._meter import private_bytes
from tests.synthetic_run import METRIC, spec, write_run

SPACE = Path(__file__).parents[2] / "search_spaces" / "ckd_glue.yaml"
MARKS = (10, 100, 1_000, 5_000, 10_000)
TIMED = 30
EPOCHS = 4
COORDINATOR = "search-overhead"


class Search:
    """A search whose trials end as soon as they begin.

    Args:
        run: Where its records go.
        trials: How many it may run.
    """

    def __init__(self, run: Path, trials: int) -> None:
        search_space = load_spec(SPACE, [f"search.trials={trials}", "tasks=[glue/rte]"])
        arm_study = next(c for c in arm_studies(search_space) if c.arm.name == "ckd")
        namespace = ray.get_runtime_context().namespace
        coordinator = start_coordinator(COORDINATOR, namespace)
        log = EventLog(run / "events.jsonl", lambda event: None)
        recorder = SearchRecorder(
            TrialRecorder(coordinator, log, run, 1.0, 2),
            {"ckd": arm_study},
            lambda c, number, chosen: search_trial(search_space, run, c, number, chosen),
            lambda config: "key",
            {"coordinator": COORDINATOR, "namespace": namespace},
        )
        arm = make_arm(search_space, arm_study, open_storage(run))
        self.study = arm.study.study
        self.domains = domains_of(arm_study.arm, search_space.train)
        self.ended = 0
        self._searcher = ArmsSearch({"ckd": arm}, recorder, lambda: 2)
        self._scheduler = ArmsScheduler(self._searcher)
        self._random = random.Random(0)

    def trial(self) -> None:
        """One trial from its suggestion to its end."""
        name = f"{self.ended:08d}"
        self._searcher.suggest(name)
        of_tune = SimpleNamespace(trial_id=name)
        self._scheduler.on_trial_add(None, of_tune)
        result: dict[str, Any] = {}
        for epoch in range(1, EPOCHS + 1):
            result = {"event": json.dumps(self._event(epoch))}
            if self._scheduler.on_trial_result(None, of_tune, result) == "STOP":
                break
        self._searcher.on_trial_complete(name, result)
        self.ended += 1

    def suggestion_seconds(self, sampler: optuna.samplers.BaseSampler) -> float:
        """Least time in which the study suggests a trial."""
        self.study.sampler = sampler
        times = []
        ask = self._searcher.arms["ckd"].study.suggest
        for k in range(TIMED):
            name = f"timed-{self.ended}-{k}"
            began = time.perf_counter()
            ask(name)
            times.append(time.perf_counter() - began)
            self._searcher.arms["ckd"].study.fail(name)  # the sampler looks at no failed trial
        return min(times)

    def _event(self, epoch: int) -> dict[str, Any]:
        metrics = {METRIC: 0.5 + 0.4 * self._random.random()}
        terms = {"task": 0.7, "word distance": 0.1, "layer distance": 0.1, "loss": 0.9}
        return {
            "kind": "done" if epoch == EPOCHS else "evaluation",
            "evaluation": {"step": 78 * epoch, "epoch": float(epoch), "seconds": 9.0 * epoch,
                           "metrics": metrics, "terms": terms},
            "metrics": metrics, "seconds": 9.0 * epoch,
            "lease": {"slot": 0, "node": "node-1", "attempt": 1, "time": time.time()},
        }  # fmt: skip


def search_figures(run: Path, trials: int) -> None:
    """Suggestions at the marks, and what a recorded trial adds to the process."""
    search = Search(run, trials)
    standard = search.study.sampler
    declared = registry.params_of("algorithms", "tpe")
    everything = registry.load("algorithms", "tpe")(
        params.build(declared, {"newest": sys.maxsize}), search.domains, 0
    )
    search.study.sampler = filling = optuna.samplers.RandomSampler(seed=1)
    recorded = private_bytes()
    since = 0
    for mark in (m for m in MARKS if m <= trials):
        while search.ended < mark:
            search.trial()
        if mark == MARKS[1]:  # by now everything that is loaded late is there
            gc.collect()
            recorded, since = private_bytes(), mark
        seconds = search.suggestion_seconds(standard)
        slow = search.suggestion_seconds(everything)
        search.study.sampler = filling
        goal = 20.0 if mark == 1_000 else None
        row(f"a suggestion at {mark:,} trials", seconds * 1e3, "ms", goal)
        row("  looking at every trial", slow * 1e3, "ms", None)
        print(f"  ratio to looking at every trial: {seconds / slow:.2f}")
    gc.collect()
    growth = (private_bytes() - recorded) / max(1, search.ended - since)
    row("driver memory per trial", growth / 1e3, "kB", 20.0)


def folder_figures(run: Path, trials: int) -> None:
    """The run folder of a whole sweep: written, read, and reported."""
    search_space = spec(trials=max(12, trials // 6))
    seconds, builder = timed(lambda: write_run(run, search_space))
    count = len(builder.trials)
    events = sum(1 for _ in (run / "events.jsonl").open())
    row(f"events of {count:,} trials and the table, written", seconds, "s", None)
    print(f"  {events:,} events, {(run / 'events.jsonl').stat().st_size / 1e6:.0f} MB")
    seconds, result = timed(lambda: load_results(run))
    row("run folder, loaded", seconds, "s", None)
    row("table of trials, written", timed(lambda: write_trials(run, result.trials))[0], "s", None)
    seconds, page = timed(lambda: build_report(run))
    row("report", seconds, "s", 10.0)
    print(f"  {page.stat().st_size / 1e6:.0f} MB")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it returns."""
    began = time.perf_counter()
    actual = work()
    return time.perf_counter() - began, actual


def row(what: str, value: float, unit: str, goal: float | None) -> None:
    """One line of the table."""
    against = "" if goal is None else f"{goal:10g} {unit:3} {value / goal:6.2f}"
    print(f"{what:52} {value:10.2f} {unit:3} {against}", flush=True)


def main() -> None:
    """Print the table."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{'':52} {'measured':>14} {'goal':>14} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder_figures(Path(name) / "written", trials)
        searched = Path(name) / "searched"
        searched.mkdir()
        with connected(None):
            search_figures(searched, trials)


if __name__ == "__main__":
    main()
