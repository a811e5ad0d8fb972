"""Limits the trials that a sampler reads, so that a suggestion costs the same in long searches.

Optuna's TPE goes over every recorded trial several times for each suggestion. What it learns from
old and middling trials is little: it gives the newest the most weight, and takes the 25 best apart.
"""

from __future__ import annotations

import copy
import heapq
from collections.abc import Container, Sequence
from typing import Any, cast

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

BEST = 25
"""Trials that TPE models as good ones, at most; with 250 trials or more it is this many."""


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether a completed trial keeps to all constraints."""
    return all(over <= 0 for over in trial.constraints.values())


def trials_for_sampler(
    trials: Sequence[FrozenTrial], direction: StudyDirection, newest: int
) -> list[FrozenTrial]:
    """All that run, the best and the newest of those that ended, in their order.

    Of every set of parameters that were drawn together there is the first one, too.

    Args:
        trials: Running, completed and pruned ones.
        direction: Of the objective.
        newest: How many of the newest that ended; at least 250 leaves the good ones as they are.
    """
    ended = [t for t in trials if t.state.is_finished()]
    kept = {t.number for t in ended[-newest:]}
    # TPE keeps the sets of parameters apart that occur together, in the order it first met them.
    first = {frozenset(t.params): t.number for t in reversed(ended)}
    kept |= set(first.values())
    kept |= {t.number for t in trials if not t.state.is_finished()}
    completed = [t for t in ended if t.state is TrialState.COMPLETE]
    completed = [t for t in completed if is_feasible(t)] or completed
    best = heapq.nlargest if direction is StudyDirection.MAXIMIZE else heapq.nsmallest
    kept |= {t.number for t in best(BEST, completed, key=lambda t: cast(float, t.value))}
    return [t for t in trials if t.number in kept]


class StudyView:
    """A read-only view of a study that shows only some of its trials.

    Args:
        study: The study.
        trials: The trials that it shows.
    """

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        self._study = study
        self._trials = trials

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        # The one way in which Optuna's samplers read trials.
        shown = [t for t in self._trials if states is None or t.state in states]
        return copy.deepcopy(shown) if deepcopy else shown

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials that are shown, as `optuna.Study.get_trials`."""
        return self._get_trials(deepcopy, states)

    def __getattr__(self, name: str) -> Any:  # whatever a study has
        return getattr(self._study, name)


def limited_view(study: optuna.Study, newest: int) -> optuna.Study:
    """The study with `trials_for_sampler` only; the whole one if short or multi-objective."""
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    trials = study.get_trials(deepcopy=False, states=states)
    if len(study.directions) > 1 or len(trials) <= newest:
        return study
    return cast(optuna.Study, StudyView(study, trials_for_sampler(trials, study.direction, newest)))
