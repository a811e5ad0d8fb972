"""Asynchronous successive halving: at each rung only the best 1/reduction_factor continue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raykd.params import param

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of successive halving (Li et al. 2018, https://arxiv.org/abs/1810.05934)."""

    grace_period: int = param(1, low=1, help="Epochs before a trial may be stopped.", symbol="r")
    reduction_factor: int = param(
        3, low=2, help="One trial in this many continues at each rung.", symbol="eta"
    )


def build(params: Params, *, max_epochs: int) -> BasePruner:
    """Rungs in epochs, from the grace period on, each `reduction_factor` times the one before."""
    from raykd.search.rungs import RungPruner

    return RungPruner(params.grace_period, params.reduction_factor, max_epochs)


SCHEDULER = build
