"""Tree-structured Parzen estimator, Optuna's standard sampler."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from raykd.params import param
from raykd.search.study_view import limited_view
from raykd.spec.domains import Domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of the sampler."""

    startup_trials: int = param(8, low=1, help="Random trials before the model is used.")
    multivariate: bool = param(True, help="Model parameters jointly instead of one by one.")
    candidates: int = param(24, low=1, help="Points drawn from the model, of which one is tried.")
    newest: int = param(
        300, low=250, help="Trials the model is built from: the newest this many, and the 25 best."
    )


class _Sampler(optuna.samplers.TPESampler):
    """TPE that reads a limited view of a long study.

    Args:
        newest: Trials that ended last, all of which it looks at.
        settings: Those of Optuna's sampler.
    """

    def __init__(self, newest: int, **settings: Any) -> None:
        super().__init__(**settings)
        self._newest = newest
        self._view: Study | None = None

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Refresh the view of the study before each trial."""
        self._view = None
        super().before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters to draw jointly."""
        return super().infer_relative_search_space(self._look(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw them."""
        return super().sample_relative(self._look(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one of the others."""
        trials_for_sampler = self._look(study)
        return super().sample_independent(trials_for_sampler, trial, param_name, param_distribution)

    def _look(self, study: Study) -> Study:
        # One look for all parameters of a trial.
        if self._view is None:
            self._view = limited_view(study, self._newest)
        return self._view


def build(params: Params, domains: Mapping[str, Domain], seed: int) -> optuna.samplers.BaseSampler:
    """A sampler that expects trials in parallel and conditional domains."""
    with warnings.catch_warnings():
        # Without groups a joint model leaves conditional parameters out.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _Sampler(
            params.newest,
            n_startup_trials=params.startup_trials,
            n_ei_candidates=params.candidates,
            multivariate=params.multivariate,
            group=params.multivariate,
            constant_liar=True,
            seed=seed,
        )


ALGORITHM = build
