"""Statistics of the comparison: intervals over seeds, paired differences, tests, search curves.

Intervals use Student's t with n - 1 in the variance; NaN and infinite values are left out first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
MIN_SEEDS = 3
"""Fewer pairs decide nothing, whatever their interval: it is as wide as chance would have it."""
MIN_SIGN_FLIP_PAIRS = 6
MAX_EXACT_PAIRS = 20
_FLAT = 1e-9  # of the values: what rounding leaves of equal differences


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfidenceInterval:
    """A mean with its t interval.

    Attributes:
        mean: Mean of the values.
        sd: Standard deviation, n - 1 in the denominator; NaN for one value.
        n: Number of values.
        low: Lower end of the t interval; NaN for one value.
        high: Upper end; NaN for one value.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float

    @property
    def has_interval(self) -> bool:
        """Whether there were at least two values."""
        return not math.isnan(self.low)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """One arm minus another, paired by seed; positive is better whatever the metric's direction.

    Attributes:
        interval: Mean difference and its paired t interval.
        p: Exact sign-flip p value, two-sided; None below `MIN_SIGN_FLIP_PAIRS` pairs.
    """

    interval: ConfidenceInterval
    p: float | None

    @property
    def undecided(self) -> bool:
        """Whether the two cannot be told apart.

        That is without an interval, with one that contains 0, below `MIN_SEEDS` pairs, and where
        the interval has no width: a few equal differences are no certainty.
        """
        e = self.interval
        if not e.has_interval or e.n < MIN_SEEDS or e.low <= 0.0 <= e.high:
            return True
        flat = e.high - e.low <= _FLAT * max(abs(e.low), abs(e.high))
        return flat and e.n < MIN_SIGN_FLIP_PAIRS

    @property
    def better(self) -> bool:
        """Whether the first arm is better: the interval excludes zero, on enough seeds."""
        return not self.undecided and self.interval.low > 0.0


def confidence_interval(
    values: Sequence[float], confidence: float = CONFIDENCE, min_sd: float = 0.0
) -> ConfidenceInterval | None:
    """Mean, standard deviation and t interval; None without a finite value.

    Args:
        values: What was measured.
        confidence: Of the interval.
        min_sd: The interval is at least as wide as that of values with this deviation: what is
            measured on a few rows comes in steps, and equal values do not mean no spread.

    Example:
        >>> e = confidence_interval([1.0, 2.0, 3.0])
        >>> (e.mean, e.sd, round(e.low, 3), round(e.high, 3))
        (2.0, 1.0, -0.484, 4.484)
    """
    finite = [float(v) for v in values if math.isfinite(v)]
    n = len(finite)
    if not n:
        return None
    mean = math.fsum(finite) / n
    if n == 1:
        return ConfidenceInterval(mean=mean, sd=math.nan, n=1, low=math.nan, high=math.nan)
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in finite) / (n - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * max(sd, min_sd) / math.sqrt(n)
    return ConfidenceInterval(mean=mean, sd=sd, n=n, low=mean - half, high=mean + half)


def paired_difference(
    arm: Mapping[int, float], other: Mapping[int, float], mode: str, min_sd: float = 0.0
) -> PairedDifference | None:
    """How much better `arm` is than `other`, over the seeds both have; None without common ones.

    Args:
        arm: Seed to value.
        other: Seed to value.
        mode: ``max`` or ``min``; with ``min`` the sign is turned, so that positive is better.
        min_sd: See `confidence_interval`.
    """
    sign = -1.0 if mode == "min" else 1.0
    differences = [sign * (arm[s] - other[s]) for s in sorted(arm) if s in other]
    differences = [d for d in differences if math.isfinite(d)]
    summary = confidence_interval(differences, min_sd=min_sd)
    if summary is None:
        return None
    return PairedDifference(interval=summary, p=sign_flip_test(differences))


def sign_flip_test(differences: Sequence[float]) -> float | None:
    """Two-sided p value of the mean under all sign flips of the paired differences.

    Exact up to `MAX_EXACT_PAIRS` pairs; beyond, the paired t test stands in, which it approaches.

    `scipy.stats.permutation_test` counts the same patterns one by one: seconds for 20 pairs, where
    this takes milliseconds. It also misses patterns that equal the observed one up to rounding.

    Returns:
        None below `MIN_SIGN_FLIP_PAIRS` pairs: with five, no p value under 0.0625 can come out.
    """
    n = len(differences)
    if n < MIN_SIGN_FLIP_PAIRS:
        return None
    if n > MAX_EXACT_PAIRS:
        return _t_test(differences)
    # Sums over all 2**n sign patterns, built by doubling; symmetric, so one sign can stay fixed.
    sums = np.array([differences[0]], dtype=np.float64)
    for d in differences[1:]:
        sums = np.concatenate([sums + d, sums - d])
    observed = abs(math.fsum(differences))
    slack = 1e-12 * max(1.0, float(np.abs(sums).max()))
    return float(np.mean(np.abs(sums) >= observed - slack))


def holm_correction(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's step-down correction; None entries stay None and are not counted.

    It bounds the probability of a single wrong claim among all comparisons.
    `scipy.stats.false_discovery_control` bounds the share of wrong claims among those made, which
    is a weaker promise; scipy has no correction of Holm's kind.

    Example:
        >>> holm_correction([0.01, None, 0.04, 0.03])
        (0.03, None, 0.06, 0.06)
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = largest
    return tuple(adjusted)


def can_reach_significance(
    p_values: Sequence[float | None], pairs: int, level: float = 1 - CONFIDENCE
) -> bool:
    """Whether any corrected sign-flip p value can fall below the level with so many pairs.

    The least one that can come out is ``2 / 2**pairs``, times the number of comparisons.
    """
    count = sum(p is not None for p in p_values)
    return count > 0 and (pairs > MAX_EXACT_PAIRS or count * 2.0 ** (1 - pairs) < level)


def gap_recovered(arm: float, none: ConfidenceInterval, teacher: float, mode: str) -> float | None:
    """Share of the way from no teacher to teacher: ``(arm - none) / (teacher - none)``.

    Returns:
        None when the teacher is not better than `none` by more than the standard error of `none`:
        the share would then be a ratio of noise.
    """
    sign = -1.0 if mode == "min" else 1.0
    gap = sign * (teacher - none.mean)
    noise = none.sd / math.sqrt(none.n) if none.n > 1 else 0.0
    if not math.isfinite(gap) or gap <= max(noise, 1e-12):
        return None
    return sign * (arm - none.mean) / gap


def best_so_far(values: Sequence[float | None], mode: str) -> tuple[float | None, ...]:
    """The best value up to each trial; None until the first usable one."""
    pick = min if mode == "min" else max
    best: float | None = None
    out: list[float | None] = []
    for value in values:
        if value is not None and math.isfinite(value):
            best = value if best is None else pick(best, value)
        out.append(best)
    return tuple(out)


def expected_best(values: Sequence[float], mode: str) -> tuple[float, ...]:
    """Expected best score when only 1, 2, ... N of the trials had been run.

    With the empirical distribution F of the N scores the best of n has expectation
    ``sum_i v_i (F(v_i)^n - F(v_(i-1))^n)`` (drawing with replacement, as in the paper).

    References:
        Dodge et al., "Show Your Work", 2019. https://arxiv.org/abs/1909.03004
    """
    finite = [v for v in values if math.isfinite(v)]
    ordered = np.array(sorted(finite, reverse=mode == "min"), dtype=np.float64)
    n = len(ordered)
    upper, lower = np.arange(1, n + 1) / n if n else ordered, np.arange(n) / n if n else ordered
    # Powers one from the other: N of them anew take seconds for thousands of scores.
    above, below = np.ones(n), np.ones(n)
    expected = []
    for _ in range(n):
        above, below = above * upper, below * lower
        expected.append(float(np.sum(ordered * (above - below))))
    return tuple(expected)


def share_at_least(values: Sequence[float], bar: float, mode: str) -> float | None:
    """Share of the values as good as `bar` or better; None without values."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return None
    good = sum(v <= bar if mode == "min" else v >= bar for v in finite)
    return good / len(finite)


def mean_ranks(scores: Sequence[Mapping[str, float]], mode: Sequence[str]) -> dict[str, float]:
    """Mean rank of each arm over tasks (1 = best, ties share the mean of their places).

    Only arms scored on every task are ranked.

    Args:
        scores: Per task, arm to score.
        mode: Per task, ``max`` or ``min``.
    """
    if not scores:
        return {}
    arms = [name for name in scores[0] if all(name in s for s in scores)]
    ranks: dict[str, list[float]] = {name: [] for name in arms}
    for task, direction in zip(scores, mode, strict=True):
        sign = 1.0 if direction == "min" else -1.0
        places = stats.rankdata([sign * task[name] for name in arms])
        for name, place in zip(arms, places, strict=True):
            ranks[name].append(float(place))
    return {name: math.fsum(r) / len(r) for name, r in ranks.items()}


def _t_test(differences: Sequence[float]) -> float:
    """Two-sided p value of the paired t test; of equal differences, 0 unless they are 0."""
    largest = max(abs(d) for d in differences)
    if np.ptp(differences) <= _FLAT * largest:
        return 0.0 if largest else 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)
