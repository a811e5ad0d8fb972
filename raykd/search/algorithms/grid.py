"""Every combination of a finite space, in a seeded order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import optuna

from raykd.params import Scalar, param
from raykd.spec.domains import Domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of the grid."""

    points: int = param(
        5, low=2, help="Points per continuous range, evenly spaced (on the log scale where so)."
    )


def build(params: Params, domains: Mapping[str, Domain], seed: int) -> optuna.samplers.BaseSampler:
    """Optuna's grid sampler over `grid_of` each domain."""
    grid = {name: grid_of(domain, params.points) for name, domain in domains.items()}
    return optuna.samplers.GridSampler(grid, seed=seed)


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
        return [low + k * domain.step for k in range(count + 1)]
    if domain.kind in ("int", "logint"):
        spread = np.geomspace if domain.kind == "logint" else np.linspace
        return list(sorted({round(float(v)) for v in spread(low, high, points)}))
    spread = np.geomspace if domain.kind == "loguniform" else np.linspace
    return [float(np.clip(v, low, high)) for v in spread(low, high, points)]


ALGORITHM = build
