"""The gap recovered: the share of the way from no teacher to the teacher, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from raykd.results.differences import MIN_SEEDS
from raykd.results.stats import ALPHA, critical


@dataclass(frozen=True, kw_only=True, slots=True)
class GapRecovered:
    """``(arm - none) / (teacher - none)`` with its interval.

    Attributes:
        share: The ratio of the means.
        low: Lower end of Fieller's interval.
        high: Upper end.
    """

    share: float
    low: float
    high: float


def gap_recovered(
    arm: Mapping[int, float],
    none: Mapping[int, float],
    teacher: float,
    mode: str,
    alpha: float = ALPHA,
) -> GapRecovered | None:
    """How much of the gap between no teacher and teacher an arm recovers.

    Numerator and denominator share the mean of `none`, and the teacher is one run: another one
    would score otherwise. How far teachers vary was not measured, so they are taken to vary from
    seed to seed as these students do.

    Args:
        arm: Seed to value on the test split.
        none: Seed to value of the arm without a teacher.
        teacher: The score of the teacher.
        mode: ``max`` or ``min``.
        alpha: Share of intervals that may miss the true share.

    Returns:
        None where less than `MIN_SEEDS` seeds are shared, the teacher is not better, or the gap is
        so small that no interval is bounded: the share would be a ratio of noise.

    References:
        Fieller, "Some problems in interval estimation", 1954.
    """
    sign = -1.0 if mode == "min" else 1.0
    seeds = [s for s in arm if s in none]
    if len(seeds) < MIN_SEEDS or not math.isfinite(teacher):
        return None
    n = len(seeds)
    a, b = (np.array([sign * of[s] for s in seeds]) for of in (arm, none))
    gain, gap = float((a - b).mean()), sign * teacher - float(b.mean())
    if gap <= 0.0:
        return None
    covariance = np.cov(a, b)
    of_teacher = (covariance[0, 0] + covariance[1, 1]) / 2
    var_gain = float((a - b).var(ddof=1)) / n
    var_gap = float(covariance[1, 1] / n + of_teacher)
    shared = float((covariance[1, 1] - covariance[0, 1]) / n)
    squared = critical(alpha, n - 1) ** 2
    # The shares r for which gain - r * gap is within t standard errors of zero.
    leading = gap**2 - squared * var_gap
    middle = gain * gap - squared * shared
    inside = middle**2 - leading * (gain**2 - squared * var_gain)
    if leading <= 0.0 or inside < 0.0:
        return None
    half = math.sqrt(inside) / leading
    return GapRecovered(share=gain / gap, low=middle / leading - half, high=middle / leading + half)
