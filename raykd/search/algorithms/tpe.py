"""Tree-structured Parzen estimator, Optuna's standard sampler."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import optuna

from raykd.params import param
from raykd.spec.domains import Domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of the sampler."""

    startup_trials: int = param(8, low=1, help="Random trials before the model is used.")
    multivariate: bool = param(True, help="Model parameters jointly instead of one by one.")
    candidates: int = param(24, low=1, help="Points drawn from the model, of which one is tried.")


def build(params: Params, domains: Mapping[str, Domain], seed: int) -> optuna.samplers.BaseSampler:
    """A sampler that expects trials in parallel and conditional domains."""
    with warnings.catch_warnings():
        # Without groups a joint model leaves conditional parameters out.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=params.startup_trials,
            n_ei_candidates=params.candidates,
            multivariate=params.multivariate,
            group=params.multivariate,
            constant_liar=True,
            seed=seed,
        )


ALGORITHM = build
