"""All arms of a task in one Ray Tune run: equal budgets, one study for each arm.

One run instead of one per arm keeps every slot busy while an arm ends, and pays Tune's start once.
"""

from __future__ import annotations

import functools
import json
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raykd.params import Scalar
from raykd.results.records import Status
from raykd.search.device_budget import DeviceBudget
from raykd.search.study import StudySearch
from raykd.spec.schema_stages import Constraint

PENDING_TRIALS = 1
"""Trials launched beyond the free slots, so that a slot finds its next job without waiting.

Tune is given one when a trial that it follows is over. Otherwise it would start a process for it,
which it stops once that of the trial before it is free: a start in vain for every short trial.
"""

Q = ParamSpec("Q")
R = TypeVar("R")

FOLLOWERS = 2
"""Times that what follows a trial for Tune is replaced after it died."""


class SearchError(BaseException):
    """Carries an error of the search through Tune.

    Tune takes what is an `Exception` for one of the trial at hand, starts what follows it once more
    and continues; the search does not know that trial any more by then. Of this, as of Ctrl-C, Tune
    takes no notice, and cleans up nothing: what follows trials ends with the coordinator, which the
    driver closes next.

    Attributes:
        error: What was raised.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _ends_the_search(method: Callable[Q, R]) -> Callable[Q, R]:
    """Raise `SearchError` in the place of errors: for what Tune calls."""

    @functools.wraps(method)
    def called(*args: Q.args, **given: Q.kwargs) -> R:
        try:
            return method(*args, **given)
        except Exception as exc:
            raise SearchError(exc) from exc

    return called


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
        """Record the end of a trial, before the study does; returns its device seconds."""

    @abstractmethod
    def cancel(self, arm: str, number: int) -> None:
        """Stop the job of a trial."""


@dataclass(slots=True)
class _Live:
    key: str  # what the study of its arm knows it by
    arm: str
    number: int
    config: dict[str, Any] = field(default_factory=dict)  # of what follows its job for Tune
    lost: int = 0  # times that this was lost for good
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
        self._ahead: deque[_Live] = deque()
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

    @_ends_the_search
    def suggest(self, trial_id: str) -> Any:  # a config, None, or `Searcher.FINISHED`
        """The trial that was launched first of those that Tune does not follow yet."""
        is_over = self._ending or self.remaining() == 0
        if not is_over:
            self._launch()
        if self._ahead and len(self.live) < max(self._max_concurrent(), 1):
            self.live[trial_id] = live = self._ahead.popleft()
            return live.config
        # Tune asks nothing more after the end, also for a trial that it loses.
        return Searcher.FINISHED if is_over and not self._ahead and not self.live else None

    def _launch(self) -> None:
        """Launch the next trial of the arm that is furthest behind, where there is room for it."""
        if len(self.live) + len(self._ahead) >= self._max_concurrent() + PENDING_TRIALS:
            return
        arm = self._next_arm()
        if arm is None:
            return
        key = f"{arm} {self._started[arm]}"
        chosen = self.arms[arm].study.suggest(key)
        self._started[arm] += 1
        live = _Live(key, arm, chosen["number"])
        live.config = self.recorder.launch(arm, chosen["number"], chosen["params"])
        self._ahead.append(live)

    def _next_arm(self) -> str | None:
        """The arm furthest behind of those that may continue; None: all of them await a trial."""
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

    @_ends_the_search
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
            self._complete(live, event)
        elif kind == "failed":
            self._finish(live, Status.FAILED, event)
            study.fail(live.key)
        elif error and live.lost < FOLLOWERS:
            # Tune starts a process again that dies, but not one that dies between two trials. The
            # job continues meanwhile, and the next process follows it from its first event on.
            live.lost += 1
            self._ahead.appendleft(live)
        elif error:
            # Nobody follows the job any more; without this it would keep its slot to the end.
            self.recorder.cancel(live.arm, live.number)
            lost = {**(event or {}), "error": "the process that followed the trial for Tune died"}
            self._finish(live, Status.FAILED, lost)
            study.fail(live.key)
        elif live.stopped:
            self._finish(live, Status.PRUNED, event)
            study.prune(live.key)
        else:
            # Only a closed coordinator ends a trial like this: others would fare the same.
            self.end()
            self._finish(live, Status.INTERRUPTED, event)
            study.abandon(live.key)

    def _complete(self, live: _Live, event: dict[str, Any]) -> None:
        """Record and tell the result of a trial."""
        arm = self.arms[live.arm]
        values = [_value(event["metrics"], name) for name in arm.metrics]
        excess = {str(c): c.excess(event["metrics"]) for c in arm.constraints}
        finite = all(math.isfinite(v) for v in (*values, *excess.values()))
        if not finite:
            event["error"] = f"the objective is not a number: {values}"
        event["violated"] = [name for name, over in excess.items() if over > 0]
        self._finish(live, Status.COMPLETED if finite else Status.FAILED, event)
        arm.study.complete(live.key, values, excess)

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

    @_ends_the_search
    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Record an evaluation and ask the arm's study whether to continue."""
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
        arm.study.report(live.key, evaluation["epoch"], live.objective)
        if event["kind"] == "done" or not math.isfinite(live.objective):
            return str(TrialScheduler.CONTINUE)
        if live.spared or not arm.study.should_stop(live.key, evaluation["epoch"]):
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
