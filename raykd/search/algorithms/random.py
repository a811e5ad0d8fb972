"""Independent random draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import optuna

from raykd.spec.domains import Domain


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Random search has no parameters."""


def build(params: Params, domains: Mapping[str, Domain], seed: int) -> optuna.samplers.BaseSampler:
    """A seeded random sampler."""
    return optuna.samplers.RandomSampler(seed=seed)


ALGORITHM = build
READS_RESULTS = False
