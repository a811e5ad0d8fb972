"""CMA-ES, an evolution strategy for numbers, Optuna's own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cmaes as cmaes  # Optuna imports it at the first suggestion; fail here where it is missing
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from raykd.params import param
from raykd.spec.domains import Domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of CMA-ES (Hansen 2016, https://arxiv.org/abs/1604.00772).

    It moves the numbers that every trial has; choices and what is searched under a condition are
    drawn at random.
    """

    startup_trials: int = param(1, low=1, help="Random trials that have ended before it begins.")
    population: int | None = param(
        None, low=3, help="Trials of a generation; null = 4 + 3 ln(numbers)."
    )


class _SameNumbers(optuna.samplers.CmaEsSampler):
    """Optuna's sampler of the same numbers from the first trial to the last.

    It would take those that the trials before have in common, which become fewer, and fails on a
    generation of two lengths.

    Args:
        numbers: The distributions of what it moves.
        settings: Those of Optuna's sampler.
    """

    def __init__(self, numbers: dict[str, BaseDistribution], **settings: Any) -> None:
        super().__init__(**settings)
        self._numbers = numbers

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The numbers that every trial has."""
        return self._numbers


def build(params: Params, domains: Mapping[str, Domain], seed: int) -> optuna.samplers.BaseSampler:
    """A sampler for many trials of numbers that depend on each other."""
    numbers = {
        name: _distribution(domain)
        for name, domain in domains.items()
        if domain.kind != "choice" and not domain.when
    }
    with warnings.catch_warnings():
        # A trial that was stopped early counts, too: a generation would not fill without those.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _SameNumbers(
            numbers,
            n_startup_trials=params.startup_trials,
            popsize=params.population,
            consider_pruned_trials=True,
            warn_independent_sampling=False,
            seed=seed,
        )


def _distribution(domain: Domain) -> BaseDistribution:
    assert domain.low is not None
    assert domain.high is not None
    if domain.kind in ("int", "logint"):
        return IntDistribution(int(domain.low), int(domain.high), log=domain.kind == "logint")
    is_log = domain.kind == "loguniform"
    return FloatDistribution(domain.low, domain.high, log=is_log, step=domain.step)


ALGORITHM = build
ONE_OBJECTIVE = True
IGNORES_CONSTRAINTS = True
