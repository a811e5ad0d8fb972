"""All arms of a task in one Ray Tune run: equal budgets, one study for each arm.

One run instead of one per arm keeps every slot busy while an arm ends, and pays Tune's start once.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raykd.params import Scalar
from raykd.results.records import Status
from raykd.search.device_budget import DeviceBudget
from raykd.search.study import StudySearch
from raykd.spec.schema_stages import Constraint

PENDING_TRIALS = 1
"""Trials suggested beyond the free slots, so that a slot finds its next job without waiting."""


class ArmsRecorder(ABC):
    """Called when a trial is suggested, evaluated or over: launches its job, records the rest."""

    @abstractmethod
    def launch(self, arm: str, number: int, params: Mapping[str, Scalar]) -> dict[str, Any]:
        """Submit the job of a trial; returns the config of `raykd.trial.tune_trainable`."""

    @abstractmethod
    def evaluated(self, arm: str, number: int, event: Mapping[str, Any]) -> None:
        """Record the evaluation in an event."""

    @abstractmethod
    def finished(
        self, arm: str, number: int, status: Status, event: Mapping[str, Any] | None
    ) -> float:
        """Record the end of a trial, before the study is told; returns its device seconds."""

    @abstractmethod
    def cancel(self, arm: str, number: int) -> None:
        """Stop the job of a trial."""


@dataclass(slots=True)
class _Live:
    arm: str
    number: int
    objective: float = math.nan
    stopped: bool = False
    spared: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One arm.

    Attributes:
        study: The searcher of an arm, which also stops trials of it early.
        metrics: Objectives, by the first one of which trials are stopped.
        constraints: Bounds that results have to keep to.
    """

    study: StudySearch
    metrics: tuple[str, ...]
    constraints: tuple[Constraint, ...] = ()


class ArmsSearch(Searcher):
    """Suggests trials of all arms in turn, so that no arm is ahead of another.

    Args:
        arms: By name.
        recorder: Launches and records trials.
        max_concurrent: Trials at the same time; it may change.
        budget: Device time of each arm, besides its trials.
    """

    def __init__(
        self,
        arms: Mapping[str, Arm],
        recorder: ArmsRecorder,
        max_concurrent: Callable[[], int],
        budget: DeviceBudget | None = None,
    ) -> None:
        super().__init__()
        self.arms = dict(arms)
        self.recorder = recorder
        self.live: dict[str, _Live] = {}
        self._max_concurrent = max_concurrent
        self._budget = budget or DeviceBudget()
        self._started = {name: arm.study.counted() for name, arm in arms.items()}
        self._ending = False

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Tune's metric and mode do not matter: every arm knows its own."""
        return True

    def end(self) -> None:
        """Suggest nothing more."""
        self._ending = True

    def remaining(self) -> int:
        """Trials that may still be suggested."""
        return sum(
            self.arms[name].study.space.budget - self._started[name] for name in self._open()
        )

    def _open(self) -> list[str]:
        """Arms that have trials and device time left, the one furthest behind first."""
        names = [
            name
            for name, arm in self.arms.items()
            if self._started[name] < arm.study.space.budget and self._budget.allows(name)
        ]
        return sorted(names, key=lambda name: (self._budget.share(name), self._started[name]))

    def suggest(self, trial_id: str) -> Any:  # a config, None, or `Searcher.FINISHED`
        """The next trial of the arm that is furthest behind."""
        if self._ending or self.remaining() == 0:
            return Searcher.FINISHED
        if len(self.live) >= self._max_concurrent() + PENDING_TRIALS:
            return None
        arm = self._next_arm()
        if arm is None:
            return None
        chosen = self.arms[arm].study.suggest(trial_id)
        self._started[arm] += 1
        self.live[trial_id] = _Live(arm, chosen["number"])
        return self.recorder.launch(arm, chosen["number"], chosen["params"])

    def _next_arm(self) -> str | None:
        """The arm furthest behind of those that may go on; None: all of them wait for a trial."""
        names = self._open()
        least = min(self._started[name] for name in names)
        for name in names:
            study = self.arms[name].study
            ahead = 0 if self._budget.share(name) else self._started[name] - least
            if ahead <= (study.lag or 0) and study.is_ready():
                return name
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: `ArmsScheduler` sees every result first, also the one that stops a trial."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record the end of a trial and tell its study."""
        live = self.live.pop(trial_id)
        event = json.loads(result["event"]) if result and "event" in result else None
        study = self.arms[live.arm].study
        kind = event["kind"] if event else ""
        if event is not None:
            event |= {"control": live.number in study.control, "spared": live.spared}
        if kind == "done":
            assert event is not None
            self._complete(trial_id, live, event)
        elif kind == "failed":
            self._finish(live, Status.FAILED, event)
            study.fail(trial_id)
        elif error:
            # Nobody follows the job any more; without this it would keep its slot to the end.
            self.recorder.cancel(live.arm, live.number)
            lost = {**(event or {}), "error": "the process that followed the trial for Tune died"}
            self._finish(live, Status.FAILED, lost)
            study.fail(trial_id)
        elif live.stopped:
            self._finish(live, Status.PRUNED, event)
            study.prune(trial_id)
        else:
            # Only a closed coordinator ends a trial like this: others would fare the same.
            self.end()
            self._finish(live, Status.INTERRUPTED, event)
            study.abandon(trial_id)

    def _complete(self, trial_id: str, live: _Live, event: dict[str, Any]) -> None:
        """Record and tell the result of a trial."""
        arm = self.arms[live.arm]
        values = [_value(event["metrics"], name) for name in arm.metrics]
        excess = {str(c): c.excess(event["metrics"]) for c in arm.constraints}
        finite = all(math.isfinite(v) for v in (*values, *excess.values()))
        if not finite:
            event["error"] = f"the objective is not a number: {values}"
        event["violated"] = [name for name, over in excess.items() if over > 0]
        self._finish(live, Status.COMPLETED if finite else Status.FAILED, event)
        arm.study.complete(trial_id, values, excess)

    def _finish(self, live: _Live, status: Status, event: Mapping[str, Any] | None) -> None:
        seconds = self.recorder.finished(live.arm, live.number, status, event)
        self._budget.add(live.arm, seconds)

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune pickles the searcher into a file that raykd never reads back.
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the studies are the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the studies are the state."""


class ArmsScheduler(FIFOScheduler):
    """Passes each trial's evaluations to the study of its arm, and its decision to stop on.

    Args:
        search: The searcher that knows which arm a trial belongs to.
    """

    def __init__(self, search: ArmsSearch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._search = search

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Record an evaluation and ask the arm's study whether to go on."""
        if result.get("done") or "event" not in result:
            return str(TrialScheduler.CONTINUE)
        event = json.loads(result["event"])
        if event["kind"] not in ("evaluation", "done"):
            return str(TrialScheduler.CONTINUE)
        live = self._search.live[trial.trial_id]
        arm = self._search.arms[live.arm]
        evaluation = event["evaluation"]
        live.objective = _value(evaluation["metrics"], arm.metrics[0])
        self._search.recorder.evaluated(live.arm, live.number, event)
        arm.study.report(trial.trial_id, evaluation["epoch"], live.objective)
        if event["kind"] == "done" or not math.isfinite(live.objective):
            return str(TrialScheduler.CONTINUE)
        if live.spared or not arm.study.should_stop(trial.trial_id, evaluation["epoch"]):
            return str(TrialScheduler.CONTINUE)
        if live.number in arm.study.control:
            live.spared = float(evaluation["epoch"])
            return str(TrialScheduler.CONTINUE)
        live.stopped = True
        self._search.recorder.cancel(live.arm, live.number)
        return str(TrialScheduler.STOP)

    def debug_string(self) -> str:
        """Nothing to add."""
        return ""


def _value(metrics: Mapping[str, float], name: str) -> float:
    return float(metrics.get(name, math.nan))
