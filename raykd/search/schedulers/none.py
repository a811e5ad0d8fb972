"""No early stopping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Nothing to set."""


def build(params: Params, *, mode: str, max_epochs: int) -> TrialScheduler:
    """Every trial runs to its end."""
    from ray.tune.schedulers import FIFOScheduler

    return FIFOScheduler()  # type: ignore[no-untyped-call]


SCHEDULER = build
