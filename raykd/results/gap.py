"""The gap recovered: the share of the way from no teacher to the teacher, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raykd.results.differences import MIN_SEEDS
from raykd.results.stats import ALPHA, critical

MIN_TEACHERS = 3
"""Teachers whose spread is taken although it is smaller than that of the students."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GapRecovered:
    """``(arm - none) / (teacher - none)`` with its interval.

    Attributes:
        share: The ratio of the means.
        low: Lower end of Fieller's interval.
        high: Upper end.
        teachers: Teachers whose spread is in it; 1 where it is assumed.
        sd: Their standard deviation, as a score; NaN where it is assumed.
    """

    share: float
    low: float
    high: float
    teachers: int = 1
    sd: float = math.nan


def tells_spread(teachers: Sequence[float]) -> bool:
    """Whether scores of teachers say by themselves how far teachers vary.

    Two may be near each other by chance, and equal scores say no more than that the spread is too
    small to be seen on these rows.

    Args:
        teachers: Scores of teachers of all seeds.
    """
    return len(teachers) >= MIN_TEACHERS and len(set(teachers)) > 1


def gap_recovered(
    arm: Mapping[int, float],
    none: Mapping[int, float],
    teacher: float,
    mode: str,
    others: Sequence[float] = (),
    alpha: float = ALPHA,
) -> GapRecovered | None:
    """How much of the gap between no teacher and teacher an arm recovers.

    Numerator and denominator share the mean of `none`, and the teacher is one run: another one
    would score otherwise. How far, teachers of other seeds say, with degrees of freedom by
    Satterthwaite; without them, and where they say too little (see `tells_spread`) and vary less,
    teachers are taken to vary from seed to seed as these students do.

    Args:
        arm: Seed to value on the test split.
        none: Seed to value of the arm without a teacher.
        teacher: The score of the teacher.
        mode: ``max`` or ``min``.
        others: Scores of teachers of other seeds.
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
    of_teacher, trained = float(covariance[0, 0] + covariance[1, 1]) / 2, [teacher, *others]
    measured = float(np.var(trained, ddof=1)) if others else 0.0
    counted = len(others) if tells_spread(trained) or measured > of_teacher else 0
    of_teacher = measured if counted else of_teacher
    ends = _fieller(
        _Moments(
            gain=gain, gap=gap, var_gain=float((a - b).var(ddof=1)) / n,
            var_none=float(covariance[1, 1]) / n,
            shared=float(covariance[1, 1] - covariance[0, 1]) / n, of_teacher=of_teacher,
        ),
        n - 1, counted, alpha,
    )  # fmt: skip
    if ends is None:
        return None
    sd = math.sqrt(of_teacher) if counted else math.nan
    return GapRecovered(share=gain / gap, low=ends[0], high=ends[1], teachers=counted + 1, sd=sd)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Moments:
    """Means, and the variances of their errors.

    Attributes:
        gain: Arm minus no teacher.
        gap: Teacher minus no teacher.
        var_gain: Of the gain.
        var_none: Of the mean without a teacher, which is in both.
        shared: Covariance of gain and gap.
        of_teacher: Variance of a teacher's score.
    """

    gain: float
    gap: float
    var_gain: float
    var_none: float
    shared: float
    of_teacher: float


def _fieller(of: _Moments, df: int, df_teacher: int, alpha: float) -> tuple[float, float] | None:
    """The shares r for which gain - r * gap is within t standard errors of zero, if bounded.

    Args:
        of: What was measured.
        df: Degrees of freedom of the students.
        df_teacher: Of the teachers; 0 where their spread was not measured.
        alpha: Share of intervals that may miss the true share.
    """
    whole = float(df)
    if df_teacher:
        share = of.gain / of.gap
        students = of.var_gain - 2 * share * of.shared + share**2 * of.var_none
        whole = _satterthwaite(((students, df), (share**2 * of.of_teacher, df_teacher))) or whole
    squared = critical(alpha, whole) ** 2
    leading = of.gap**2 - squared * (of.var_none + of.of_teacher)
    middle = of.gain * of.gap - squared * of.shared
    inside = middle**2 - leading * (of.gain**2 - squared * of.var_gain)
    if leading <= 0.0 or inside < 0.0:
        return None
    half = math.sqrt(inside) / leading
    return middle / leading - half, middle / leading + half


def _satterthwaite(parts: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a sum of variances, each with its own; 0 where all of them are 0."""
    squares = sum(variance**2 / df for variance, df in parts)
    return sum(variance for variance, _ in parts) ** 2 / squares if squares else 0.0
