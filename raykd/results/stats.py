"""Statistics of the comparison: intervals over seeds, corrections, ranks, search curves.

Intervals use Student's t with n - 1 in the variance; NaN and infinite values are left out first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

ALPHA = 0.05
"""Share of claims without a difference behind them that may go wrong."""


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


def confidence_interval(
    values: Sequence[float], alpha: float = ALPHA, min_sd: float = 0.0
) -> ConfidenceInterval | None:
    """Mean, standard deviation and t interval; None without a finite value.

    Args:
        values: What was measured.
        alpha: Share of intervals that may miss the true mean.
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
    half = critical(alpha, n - 1) * max(sd, min_sd) / math.sqrt(n)
    return ConfidenceInterval(mean=mean, sd=sd, n=n, low=mean - half, high=mean + half)


def critical(alpha: float, df: float) -> float:
    """Student's t that is exceeded, in either direction, with probability `alpha`."""
    return float(special.stdtrit(df, 1 - alpha / 2))


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


def holm_levels(p_values: Sequence[float | None], alpha: float = ALPHA) -> tuple[float, ...]:
    """The level at which Holm's correction tests each p value, for the intervals that go with it.

    The smallest of m is tested at ``alpha / m``, the next one at ``alpha / (m - 1)``, and so on.
    All that follow the first one that fails are tested at its level. An interval at this level
    excludes zero exactly where the corrected p value is below `alpha`.

    Example:
        >>> [round(level, 4) for level in holm_levels([0.001, 0.9, 0.03])]
        [0.0167, 0.025, 0.025]
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    levels = [alpha / max(len(order), 1)] * len(p_values)
    level, failed = alpha, False
    for rank, (p, i) in enumerate(order):
        level = level if failed else alpha / (len(order) - rank)
        failed = failed or p >= level
        levels[i] = level
    return tuple(levels)


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
    # Powers one from the other: N separate ones take seconds for thousands of scores.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRanks:
    """TaskRanks of the arms over several tasks.

    Attributes:
        means: Mean rank of each arm (1 = best, ties share the mean of their places).
        p: Friedman's p value: how often equal arms rank as differently; None where there is no
            test, which is for less than three arms.
    """

    means: Mapping[str, float]
    p: float | None


def rank_over_tasks(scores: Sequence[Mapping[str, float]], mode: Sequence[str]) -> TaskRanks:
    """TaskRanks over tasks of the arms that are scored on every one of them.

    Args:
        scores: Per task, arm to score.
        mode: Per task, ``max`` or ``min``.

    References:
        Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", 2006.
    """
    arms = [name for name in scores[0] if all(name in s for s in scores)] if scores else []
    signs = [1.0 if direction == "min" else -1.0 for direction in mode]
    columns = [
        [sign * task[name] for task, sign in zip(scores, signs, strict=True)] for name in arms
    ]
    if not columns:
        return TaskRanks(means={}, p=None)
    from scipy import stats  # slow to import

    places = stats.rankdata(columns, axis=0)
    p = None
    if len(arms) >= 3 and len(scores) >= 2 and not (places == places[0, 0]).all():
        p = float(stats.friedmanchisquare(*columns).pvalue)
    return TaskRanks(means=dict(zip(arms, places.mean(1).tolist(), strict=True)), p=p)
