"""Collapsed confirm runs: those at the level of one answer, or far below the others of their arm.

They are counted and shown, and never left out of a mean.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median, median_high
from typing import TypeVar

import numpy as np
from scipy import special

from raykd.results.stats import ConfidenceInterval

Run = TypeVar("Run")
"""What names a run; runs of several arms with the same name are paired."""

FAR = 5.0
"""So many deviations below the median of its arm a run is no ordinary one (1 in 500 is)."""
_TO_SD = 1.4826  # from the median absolute deviation of a normal distribution
MIN_RUNS = 3
"""Of two runs of an arm the median says nothing of either."""


def collapsed_runs(
    arms: Mapping[str, Mapping[Run, float]],
    mode: str,
    *,
    constant: Sequence[float] = (),
    error: float = 0.0,
    min_sd: float = 0.0,
) -> dict[str, tuple[Run, ...]]:
    """The runs of each arm that collapsed.

    A run has collapsed if it is not better, by more than a standard error, than what one answer for
    every row scores, although the best run of its arm is by three or more; or if it is `FAR` robust
    deviations below the median of its arm. The deviation is the larger one of the arm's own and
    that of all arms, so that an arm that happens to lie close together is not torn apart. What a
    seed takes from more than half of the arms is the seed's: a hard one is no collapse.

    Args:
        arms: Arm to run (its seed) to value.
        mode: ``max`` or ``min``.
        constant: What predictions that are the same for every row score.
        error: The standard error of such a score over rows.
        min_sd: The least deviation that the test split can tell from none.
    """
    sign = -1.0 if mode == "min" else 1.0
    values = {name: {s: sign * v for s, v in own.items()} for name, own in arms.items() if own}
    floor = max((sign * c for c in constant), default=-math.inf)
    centre = {name: median(own.values()) for name, own in values.items()}
    spread = {
        name: _deviation([v - centre[name] for v in own.values()], len(own))
        for name, own in values.items()
    }
    fewest = min((len(own) for own in values.values()), default=0)
    apart = [v - centre[name] for name, own in values.items() for v in own.values()]
    together = _deviation(apart, fewest)
    hard = _hard_seeds(values, centre)
    collapsed: dict[str, tuple[Run, ...]] = {}
    for name, own in values.items():
        learns = max(own.values()) > floor + 3 * error
        bar = centre[name] - FAR * max(spread[name], together, min_sd)
        collapsed[name] = tuple(
            seed
            for seed, v in own.items()
            if (learns and v <= floor + error)
            or (len(own) >= MIN_RUNS and v - hard.get(seed, 0.0) < bar)
        )
    return collapsed


def _hard_seeds(
    values: Mapping[str, Mapping[Run, float]], centre: Mapping[str, float]
) -> dict[Run, float]:
    """How far each seed of several arms takes more than half of them below their medians."""
    apart: dict[Run, list[float]] = defaultdict(list)
    for name, own in values.items():
        for seed, value in own.items():
            apart[seed].append(value - centre[name])
    return {seed: min(median_high(of), 0.0) for seed, of in apart.items() if len(of) > 1}


def _deviation(apart: Sequence[float], runs: int) -> float:
    """The robust deviation of differences from medians of so many runs, which are too close."""
    return _TO_SD * float(np.median(np.abs(apart))) * runs / (runs - 1.5) if runs > 1 else 0.0


def allow_for_collapses(
    interval: ConfidenceInterval, fallen: Sequence[float], runs: int, mode: str
) -> ConfidenceInterval:
    """The interval of an arm none of whose runs collapsed, where runs of other arms did.

    Its seeds were few, and another one may collapse. So the interval reaches down to the mean that
    the arm has if it collapses as often as the upper 95 % bound (Clopper and Pearson, 1934) of the
    share of all runs of the task.

    Args:
        interval: Of the arm.
        fallen: The values of the runs that collapsed.
        runs: All runs of the task.
        mode: ``max`` or ``min``.
    """
    if not fallen or not interval.has_interval:
        return interval
    share = float(special.betaincinv(len(fallen) + 1, max(runs - len(fallen), 1), 0.95))
    reached = interval.mean + share * (sum(fallen) / len(fallen) - interval.mean)
    if mode == "min":
        return replace(interval, high=max(interval.high, reached))
    return replace(interval, low=min(interval.low, reached))


def more_reliable(failed: int, runs: int, other_failed: int, other_runs: int) -> float:
    """Fisher's exact p value, two-sided, that two arms fail equally often.

    Args:
        failed: Runs of one arm that collapsed or were lost.
        runs: All of its runs.
        other_failed: Of the other arm.
        other_runs: All of the other arm's.
    """
    from scipy import stats  # slow to import

    table = [[failed, runs - failed], [other_failed, other_runs - other_failed]]
    return float(stats.fisher_exact(table).pvalue)
