"""NSGA-II, a genetic algorithm for several objectives, Optuna's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import optuna

from raykd.params import param
from raykd.spec.domains import Domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of NSGA-II (Deb et al. 2002, https://doi.org/10.1109/4235.996017)."""

    population: int = param(
        10, low=2, high=10_000, help="Trials of a generation; the first one is random."
    )
    crossover: float = param(0.9, low=0.0, high=1.0, help="The chance that two parents are mixed.")


def build(params: Params, domains: Mapping[str, Domain], seed: int) -> optuna.samplers.BaseSampler:
    """A sampler for searches of many generations."""
    return optuna.samplers.NSGAIISampler(
        population_size=params.population, crossover_prob=params.crossover, seed=seed
    )


ALGORITHM = build
