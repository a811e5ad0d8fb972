"""Every combination of a finite space, in a shuffled order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

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


class _Grid(optuna.samplers.GridSampler):
    """Optuna's grid sampler for a study that is asked and told, resumed, and given start points.

    Args:
        grid: Values to try by name.
        seed: Draws what a start point leaves open.
    """

    def __init__(self, grid: Mapping[str, Sequence[Any]], seed: int) -> None:
        # The order of the combinations must not change when a search is resumed with another
        # seed: combinations that were tried are known by their place in it.
        super().__init__(grid, seed=0)
        self._open = optuna.samplers.RandomSampler(seed=seed)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value of the trial's combination; trials that were enqueued have none."""
        if "grid_id" in trial.system_attrs:
            return super().sample_independent(study, trial, param_name, param_distribution)
        return self._open.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Do nothing: the budget ends a search (Optuna's grid sampler would call `study.stop`)."""


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
