"""Asynchronous successive halving: at each rung only the best 1/reduction_factor go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raykd.params import param

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of successive halving (Li et al. 2018, https://arxiv.org/abs/1810.05934)."""

    grace_period: int = param(1, low=1, help="Epochs before a trial may be stopped.", symbol="r")
    reduction_factor: int = param(
        3, low=2, help="One trial in this many goes on at each rung.", symbol="eta"
    )


def build(params: Params, *, mode: str, max_epochs: int) -> TrialScheduler:
    """Ray Tune's ASHA on the objective, with rungs in epochs."""
    from ray.tune.schedulers import AsyncHyperBandScheduler

    return AsyncHyperBandScheduler(
        time_attr="epoch",
        metric="objective",
        mode=mode,
        max_t=max(max_epochs, params.grace_period),
        grace_period=params.grace_period,
        reduction_factor=params.reduction_factor,
        stop_last_trials=False,
    )


SCHEDULER = build
