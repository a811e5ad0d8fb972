"""The median rule: a trial continues while it is no worse than half of those that completed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raykd.params import param

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Parameters of the median rule (Golovin et al. 2017, https://doi.org/10.1145/3097983.3098043)."""

    grace_period: int = param(1, low=1, help="Epochs before a trial may be stopped.")
    startup_trials: int = param(4, low=1, help="Trials that have ended before one is stopped.")


def build(params: Params, *, max_epochs: int) -> BasePruner:
    """The best evaluation so far against the median of those that completed, at that epoch."""
    from raykd.search.rungs import MedianPruner

    return MedianPruner(params.grace_period, params.startup_trials)


SCHEDULER = build
