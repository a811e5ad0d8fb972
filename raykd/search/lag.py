"""What a suggestion may know: the results of trials that came long enough before it.

Suggestion n of a study reads the results of the trials numbered below n - lag, which have ended
when it is made, and no others: those between are shown as running, whether they have ended or not.
So the same seed gives the same list of trials on any number of slots, whichever trial ends first.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from raykd.search.optuna_private import without_constraints
from raykd.search.study_view import StudyView


def known_trials(trials: Sequence[FrozenTrial], number: int, lag: int) -> list[FrozenTrial]:
    """The trials whose results a suggestion knows.

    Args:
        trials: All of a study, by number.
        number: Of the suggestion.
        lag: Trials right before it whose results it does without.
    """
    return list(trials[: max(0, number - lag)])


def _without_result(trial: FrozenTrial) -> FrozenTrial:
    """The trial as it was when it began."""
    shown = copy.copy(trial)
    shown.values = None
    shown.intermediate_values = {}
    shown.datetime_complete = None
    shown.state = TrialState.RUNNING
    shown.system_attrs = without_constraints(trial.system_attrs)
    return shown


class LaggedSampler(optuna.samplers.BaseSampler):
    """A sampler to which a study is shown as it was `lag` trials ago.

    Args:
        inner: The sampler.
        lag: Trials whose results it does without.
    """

    def __init__(self, inner: optuna.samplers.BaseSampler, lag: int) -> None:
        self.inner = inner
        self._lag = lag
        self._view: tuple[int, StudyView] | None = None

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Look at the study once for all parameters of a trial."""
        self._view = None
        self.inner.before_trial(self._look(study, trial), trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters to draw jointly."""
        return self.inner.infer_relative_search_space(self._look(study, trial), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw them."""
        return self.inner.sample_relative(self._look(study, trial), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one of the others."""
        shown = self._look(study, trial)
        return self.inner.sample_independent(shown, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """What the sampler notes of a trial when it ends."""
        self.inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Draw other numbers from here on."""
        self.inner.reseed_rng()

    def _look(self, study: optuna.Study, trial: FrozenTrial) -> Any:  # stands in for a study
        if self._view is None or self._view[0] != trial.number:
            trials = study.get_trials(deepcopy=False)
            known = known_trials(trials, trial.number, self._lag)
            begun = [_without_result(t) for t in trials[len(known) : trial.number]]
            self._view = trial.number, StudyView(study, [*known, *begun, trials[trial.number]])
        return self._view[1]


SAME_UP_TO = 4
"""Slots up to which ``auto`` is one and the same lag, so that small machines search one list."""

OPEN_PER_SLOT = 1.5
"""Trials that may be open for each slot: some of them wait for a long one of their arm."""


def lag_for(slots: int, arms: int) -> int:
    """The lag with which the open trials of all arms keep so many slots at work.

    One trial more than there are slots is queued, so that no slot waits for a suggestion.
    """
    return math.ceil(OPEN_PER_SLOT * (max(slots, SAME_UP_TO) + 1) / arms) - 1


def reads_results(module: object) -> bool:
    """Whether a search algorithm or a scheduler reads results; one that does not says so.

    Args:
        module: That of the algorithm or the scheduler.
    """
    return bool(getattr(module, "READS_RESULTS", True))
