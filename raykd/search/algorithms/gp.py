"""Gaussian process with log expected improvement, Optuna's own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial

from raykd.params import param
from raykd.search.optuna_private import forget_fits
from raykd.spec.domains import Domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of the sampler; it models what every trial has, and draws the rest at random."""

    startup_trials: int = param(8, low=1, help="Random trials before the model is used.")


class _FreshFits(optuna.samplers.GPSampler):
    """Optuna's sampler, each suggestion of which is fitted from scratch.

    It would begin a fit where the one before ended, which a resumed search does not know.
    """

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Forget the fits of earlier suggestions."""
        forget_fits(self)
        super().before_trial(study, trial)


def build(params: Params, domains: Mapping[str, Domain], seed: int) -> optuna.samplers.BaseSampler:
    """A sampler for few trials of parameters that are all searched in every trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _FreshFits(
            n_startup_trials=params.startup_trials, seed=seed, warn_independent_sampling=False
        )


ALGORITHM = build
