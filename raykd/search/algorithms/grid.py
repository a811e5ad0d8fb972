"""Every combination of a finite space, in a shuffled order."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from raykd.params import Scalar, param
from raykd.spec.domains import Domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of the grid."""

    points: int = param(
        5,
        low=2,
        high=10_000,
        help="Points per continuous range, evenly spaced (on the log scale where so).",
    )


class _Grid(optuna.samplers.BaseSampler):
    """The combinations one after the other; which one is a matter of the trial's number alone.

    Args:
        grid: Values to try by name.
        seed: Draws what a start point leaves open.
    """

    def __init__(self, grid: Mapping[str, Sequence[Any]], seed: int) -> None:
        self._names = sorted(grid)
        self._combinations = list(itertools.product(*(grid[name] for name in self._names)))
        # The order of the combinations must not change when a search is resumed with another
        # seed: combinations that were tried are known by their place in it.
        np.random.RandomState(0).shuffle(self._combinations)
        self._open = optuna.samplers.RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """None: every value is that of the combination."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # fmt: skip
        """The value of the trial's combination; what a start point leaves open is drawn."""
        if _is_start(trial):
            return self._open.sample_independent(study, trial, param_name, param_distribution)
        earlier = study.get_trials(deepcopy=False)[: trial.number]
        place = sum(not _is_start(t) for t in earlier) % len(self._combinations)
        return self._combinations[place][self._names.index(param_name)]


def _is_start(trial: FrozenTrial) -> bool:
    return "fixed_params" in trial.system_attrs


def build(params: Params, domains: Mapping[str, Domain], seed: int) -> optuna.samplers.BaseSampler:
    """A sampler over `points_of` each domain."""
    return _Grid({name: points_of(params, domain) for name, domain in domains.items()}, seed)


def points_of(params: Params, domain: Domain) -> list[Scalar]:
    """The values of a domain that are tried; nothing between them is."""
    return grid_of(domain, params.points)


def grid_of(domain: Domain, points: int) -> list[Scalar]:
    """The values of a domain that the grid tries."""
    if domain.kind == "choice":
        return list(domain.choices)
    assert domain.low is not None
    assert domain.high is not None
    low, high = domain.low, domain.high
    if domain.kind == "quniform":
        assert domain.step is not None
        count = int((high - low) / domain.step + 1e-9)
        return [min(low + k * domain.step, high) for k in range(count + 1)]
    if domain.kind in ("int", "logint"):
        spread = np.geomspace if domain.kind == "logint" else np.linspace
        return list(sorted({round(float(v)) for v in spread(low, high, points)}))
    spread = np.geomspace if domain.kind == "loguniform" else np.linspace
    return [float(np.clip(v, low, high)) for v in spread(low, high, points)]


ALGORITHM = build
READS_RESULTS = False
