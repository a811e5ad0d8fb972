"""The plan of looks at the confirm runs of a task, as it is on record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedPlanRecord:
    """The plan of looks at the confirm runs of a task, written before the first of them.

    Attributes:
        task: Task name.
        looks: Confirm seeds of an arm at each look.
        levels: The level at which each look tests, so that all of them together keep the usual one.
        ended: Why the confirm stage ended, empty while it runs: ``decided``, ``futile`` or
            ``last``.
        seeds: Confirm seeds of an arm at the last look that was taken.
    """

    task: str
    looks: tuple[int, ...]
    levels: tuple[float, ...]
    ended: str = ""
    seeds: int = 0
