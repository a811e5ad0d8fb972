"""Stops a trial at a rung of epochs where too many others were better there."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from raykd.search.study_view import StudyView

STEPS = 1000
"""Steps of an epoch: intermediate values have whole numbers as their steps."""


class RungPruner(optuna.pruners.BasePruner):
    """Successive halving that compares a trial with those that were at the same rung.

    A trial has the value of its first evaluation at or after a rung. Of those of other trials, a
    share of 1 - 1/reduction_factor is to be reached; the first at a rung continues. Asynchronous
    successive halving (Li et al. 2018, https://arxiv.org/abs/1810.05934), as Ray Tune has it.

    Args:
        grace_period: Epochs of the first rung.
        reduction_factor: Each rung has so many times the epochs of the one before.
        max_epochs: The end of a trial, where the last rung may be.
    """

    def __init__(self, grace_period: int, reduction_factor: int, max_epochs: int) -> None:
        self._reduction_factor = reduction_factor
        self._rungs = [grace_period * STEPS]
        while self._rungs[-1] * reduction_factor <= max_epochs * STEPS:
            self._rungs.append(self._rungs[-1] * reduction_factor)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial that has just been evaluated is too far behind.

        Args:
            study: The trials that it is compared with.
            trial: With its evaluations so far.
        """
        step = max(trial.intermediate_values, default=0)
        rung = max((r for r in self._rungs if r <= step), default=None)
        if rung is None or _first(trial, rung) != step:
            return False
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        reached = [t.intermediate_values[s] for t in others if (s := _first(t, rung)) is not None]
        if not reached:
            return False
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        share = 100 * (1 - 1 / self._reduction_factor)
        bar = np.percentile([sign * value for value in reached], share)
        return bool(sign * trial.intermediate_values[step] < bar)


class BracketPruner(optuna.pruners.BasePruner):
    """Hyperband: a trial is compared with those of its bracket, the rungs of which begin later.

    Args:
        grace_period: Epochs of the first rung of the first bracket.
        reduction_factor: Between rungs, and between the first rungs of brackets.
        max_epochs: The end of a trial; in the last bracket no rung is long before it.
    """

    def __init__(self, grace_period: int, reduction_factor: int, max_epochs: int) -> None:
        self._brackets: list[RungPruner] = []
        first = grace_period
        while first <= max(max_epochs, grace_period):
            self._brackets.append(RungPruner(first, reduction_factor, max_epochs))
            first *= reduction_factor
        count = len(self._brackets)
        # Trials of a bracket, in proportion: all brackets are to have as many epochs.
        self._shares = [
            math.ceil(count * reduction_factor**s / (s + 1)) for s in reversed(range(count))
        ]

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial that has just been evaluated is too far behind in its bracket."""
        name, bracket = study.study_name, self._bracket(study.study_name, trial.number)
        others = study.get_trials(deepcopy=False)
        view: Any = StudyView(
            study, [t for t in others if self._bracket(name, t.number) == bracket]
        )
        return self._brackets[bracket].prune(view, trial)

    def _bracket(self, study: str, number: int) -> int:
        place = zlib.crc32(f"{study}_{number}".encode()) % sum(self._shares)
        return next(k for k in range(len(self._shares)) if place < sum(self._shares[: k + 1]))


class MedianPruner(optuna.pruners.BasePruner):
    """The median rule: a trial continues while it is no worse than half of those that completed.

    Its best evaluation so far is compared with the last one of each other trial up to that epoch,
    so that trials that are evaluated at other epochs (their batches are larger) count, too; where
    all are evaluated at the same ones, this is Optuna's pruner of the same name.

    Args:
        grace_period: Epochs before a trial may be stopped.
        startup_trials: Trials that have completed before one is stopped.
    """

    def __init__(self, grace_period: int, startup_trials: int) -> None:
        self._grace_period = grace_period * STEPS
        self._startup_trials = startup_trials

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial that has just been evaluated is worse than half of the others."""
        step = max(trial.intermediate_values, default=0)
        completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if step < self._grace_period or len(completed) < self._startup_trials:
            return False
        there = [t.intermediate_values[s] for t in completed if (s := _last(t, step)) is not None]
        if not there:
            return False
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        best = max(sign * value for value in trial.intermediate_values.values())
        return bool(best < sign * np.median(there))


def _last(trial: FrozenTrial, step: int) -> int | None:
    """The step of the last evaluation at or before a step."""
    return max((s for s in trial.intermediate_values if s <= step), default=None)


def _first(trial: FrozenTrial, rung: int) -> int | None:
    """The step of the first evaluation at or after a rung."""
    return min((step for step in trial.intermediate_values if step >= rung), default=None)
