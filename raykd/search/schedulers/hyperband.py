"""Hyperband: successive halving in brackets, some of which stop late or never."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raykd.search.schedulers import asha

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(asha.Params):
    """Parameters of Hyperband (Li et al. 2018, https://jmlr.org/papers/v18/16-558.html)."""


def build(params: Params, *, max_epochs: int) -> BasePruner:
    """A trial's bracket is drawn from its number, in the shares that Optuna's pruner has."""
    from raykd.search.rungs import BracketPruner

    return BracketPruner(params.grace_period, params.reduction_factor, max_epochs)


SCHEDULER = build
