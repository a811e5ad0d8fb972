"""A search on simulated slots: the driver's searcher, studies and coordinator, a clock of its own.

Neither Ray nor training: what a trial reports, and how long it takes, is given. Everything else is
what a sweep runs: `ArmsSearch` suggests, jobs are queued and taken at a `CoordinatorState`,
`ArmsScheduler` sees every evaluation and stops trials.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import TrialScheduler

from raykd.params import Scalar
from raykd.results.records import Status
from raykd.search.arms import Arm, ArmsRecorder, ArmsScheduler, ArmsSearch
from raykd.search.device_budget import DeviceBudget
from raykd.trial.coordinator import IDLE, CoordinatorState

METRIC = "accuracy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What a trial would report.

    Attributes:
        scores: After each epoch.
        epoch_s: Seconds of an epoch.
        costs: What is measured of it at its end.
    """

    scores: Sequence[float]
    epoch_s: float = 1.0
    costs: Mapping[str, float] = field(default_factory=dict)


Train = Callable[[str, int, Mapping[str, Scalar]], Training]
"""What a trial reports, from its arm, number and parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A trial that was run.

    Attributes:
        params: What was suggested.
        scores: What it reported before it ended or was stopped.
        status: How it ended.
        violated: Constraints that it does not keep to.
    """

    params: Mapping[str, Scalar]
    scores: tuple[float, ...]
    status: Status
    violated: tuple[str, ...] = ()


@dataclass(kw_only=True, slots=True)
class Searched:
    """A search that is over.

    Attributes:
        trials: By arm and number.
        seconds: On the clock.
        busy_s: Seconds in which slots worked.
        slots: How many there were.
    """

    slots: int
    trials: dict[tuple[str, int], Trial] = field(default_factory=dict)
    seconds: float = 0.0
    busy_s: float = 0.0

    @property
    def at_work(self) -> float:
        """The share of the time that slots worked."""
        return self.busy_s / (self.seconds * self.slots)


class _Recorder(ArmsRecorder):
    """Keeps what is launched and cancelled for the loop, and how trials ended."""

    def __init__(self, train: Train) -> None:
        self._train = train
        self.launched: list[str] = []
        self.cancelled: list[str] = []
        self.params: dict[tuple[str, int], Mapping[str, Scalar]] = {}
        self.scores: dict[tuple[str, int], list[float]] = {}
        self.ends: dict[tuple[str, int], Status] = {}
        self.violated: dict[tuple[str, int], tuple[str, ...]] = {}

    def launch(self, arm: str, number: int, params: Mapping[str, Scalar]) -> dict[str, Any]:
        self.params[arm, number] = dict(params)
        self.scores[arm, number] = []
        self.launched.append(_job(arm, number))
        return {"job": self.launched[-1]}

    def evaluated(self, arm: str, number: int, event: Mapping[str, Any]) -> None:
        self.scores[arm, number].append(event["metrics"][METRIC])

    def finished(
        self, arm: str, number: int, status: Status, event: Mapping[str, Any] | None
    ) -> float:
        self.ends[arm, number] = status
        self.violated[arm, number] = tuple((event or {}).get("violated", ()))
        return self.seconds(arm, number)

    def seconds(self, arm: str, number: int) -> float:
        """What a trial took until now."""
        training = self._train(arm, number, self.params[arm, number])
        return training.epoch_s * len(self.scores[arm, number])

    def cancel(self, arm: str, number: int) -> None:
        self.cancelled.append(_job(arm, number))


def search(
    arms: Mapping[str, Arm], train: Train, slots: int, budget: DeviceBudget | None = None
) -> Searched:
    """Run every arm to its budget."""
    return asyncio.run(_Search(arms, train, slots, budget).run())


class _Search:
    def __init__(
        self, arms: Mapping[str, Arm], train: Train, slots: int, budget: DeviceBudget | None
    ) -> None:
        self._train = train
        self._recorder = _Recorder(train)
        self._searcher = ArmsSearch(arms, self._recorder, lambda: slots, budget)
        self._scheduler = ArmsScheduler(self._searcher)
        self._coordinator = CoordinatorState(silence_s=1e9)
        self._clock: list[tuple[float, int, int, str, int, int]] = []
        self._turn = itertools.count()
        self._idle = list(range(slots))
        self._seen: dict[str, int] = {}
        self._found = Searched(slots=slots)

    async def run(self) -> Searched:
        await self._suggest()
        while self._clock:
            self._found.seconds, _, slot, job, attempt, epoch = heapq.heappop(self._clock)
            await self._evaluate(slot, job, attempt, epoch)
            await self._suggest()
        await self._coordinator.close()
        for place, status in self._recorder.ends.items():
            scores = tuple(self._recorder.scores[place])
            params = self._recorder.params[place]
            violated = self._recorder.violated[place]
            self._found.trials[place] = Trial(
                params=params, scores=scores, status=status, violated=violated
            )
        return self._found

    async def _suggest(self) -> None:
        """What Tune does: ask for trials as long as it gets some; then idle slots take jobs."""
        while isinstance(config := self._searcher.suggest(f"t{next(self._turn)}"), dict):
            trial = next(reversed(self._searcher.live))
            self._scheduler.on_trial_add(None, SimpleNamespace(trial_id=trial))
            self._seen[config["job"]] = 0
            await self._coordinator.submit(config["job"], trial, 0)
        while self._idle:
            job, attempt, _ = await self._coordinator.take(self._idle[0], "node", 0.0)
            if job == IDLE:
                return
            self._plan(self._idle.pop(0), job, attempt, 1)

    def _plan(self, slot: int, job: str, attempt: int, epoch: int) -> None:
        training = self._training(job)
        self._found.busy_s += training.epoch_s
        at = self._found.seconds + training.epoch_s
        heapq.heappush(self._clock, (at, next(self._turn), slot, job, attempt, epoch))

    def _training(self, job: str) -> Training:
        arm, number = _place(job)
        return self._train(arm, number, self._recorder.params[arm, number])

    async def _evaluate(self, slot: int, job: str, attempt: int, epoch: int) -> None:
        """A slot reports; Tune hears of it and may stop the trial."""
        scores = self._training(job).scores
        metrics = {METRIC: scores[epoch - 1]}
        is_last = epoch == len(scores)
        event = {
            "kind": "done" if is_last else "evaluation",
            "evaluation": {"epoch": float(epoch), "metrics": metrics},
            "metrics": {**metrics, **self._training(job).costs},
        }
        await self._coordinator.push(job, attempt, event)
        trial = next(t for t, live in self._searcher.live.items() if _job_of(live) == job)
        events = await self._coordinator.pull(job, self._seen[job], 0.0)
        self._seen[job] += len(events)
        result = {"event": json.dumps(events[-1])}
        message = self._scheduler.on_trial_result(None, SimpleNamespace(trial_id=trial), result)
        for cancelled in self._recorder.cancelled:
            await self._coordinator.cancel(cancelled)
        self._recorder.cancelled.clear()
        if is_last or message == TrialScheduler.STOP:
            self._searcher.on_trial_complete(trial, result)
            self._idle.append(slot)
        else:
            self._plan(slot, job, attempt, epoch + 1)


def _job(arm: str, number: int) -> str:
    return f"{arm}.{number}"


def _job_of(live: Any) -> str:
    return _job(live.arm, live.number)


def _place(job: str) -> tuple[str, int]:
    arm, _, number = job.rpartition(".")
    return arm, int(number)
