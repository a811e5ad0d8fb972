"""What a sweep could have found, and how many seeds or rows a difference would take."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

from raykd.results.differences import PairedDifference
from raykd.results.stats import critical

POWER = 0.8
"""Share of sweeps that are to find a difference of the size that is asked about."""
MOST_SEEDS = 1000
MOST_ROWS = 1_000_000


def smallest_difference(
    d: PairedDifference, seeds: float | None = None, rows: float | None = None
) -> float:
    """The difference that is found in `POWER` of sweeps with this spread.

    Args:
        d: The difference, for its spread.
        seeds: Confirm seeds; None for those it has.
        rows: Test rows; None for those it has.
    """
    error = d.error
    if seeds is None and rows is None:
        value, df = error.value, error.df
    else:
        seeds = seeds or d.n
        value = math.sqrt(error.parts.variance(seeds, rows or max(error.rows, 1)))
        df = error.df + (seeds - d.n)
    return value * (critical(d.alpha, df) + float(special.stdtrit(df, POWER)))


def seeds_needed(d: PairedDifference, size: float) -> int | None:
    """Seeds with which a difference of a size would be found; None where no number does it."""
    return _least(lambda n: smallest_difference(d, seeds=n) <= size, d.n, MOST_SEEDS)


def rows_needed(d: PairedDifference, size: float) -> int | None:
    """Test rows with which it would be found with these seeds; None where no number does it."""
    if not d.error.rows:
        return None
    return _least(lambda n: smallest_difference(d, rows=n) <= size, d.error.rows, MOST_ROWS)


def _least(is_enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least number between two that is enough, where all above it are."""
    if not is_enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle + 1, high)
    return low
