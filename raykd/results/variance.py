"""The standard error of a mean difference: over seeds alone, or over seeds and test rows.

Axes: A arm, S confirm seed, R test row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from scipy import special

Array = NDArray[Any]

PRIOR_DF = 4.0
"""Degrees of freedom that the spread of the other arms counts for, besides the n - 1 of a pair."""
UNEVEN = 0.1
"""Level of the test of whether the arms vary equally, so that one speaks for another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """The variance of a difference over seeds, as all other contrasts of the arms have it.

    Attributes:
        variance: Of one seed's difference.
        df: Its degrees of freedom.
    """

    variance: float
    df: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the variance of a difference consists of, per seed, per row and per run on a row.

    Attributes:
        seed: Variance over seeds of the difference on all possible rows.
        row: Variance over rows of the difference over all possible seeds.
        rest: Variance of one run on one row besides both; 0 where rows are not counted.
    """

    seed: float
    row: float = 0.0
    rest: float = 0.0

    def variance(self, seeds: float, rows: float) -> float:
        """The variance of the mean over so many seeds and rows."""
        own = self.seed / seeds
        return own + (self.row + self.rest / seeds) / rows if self.row or self.rest else own


@dataclass(frozen=True, kw_only=True, slots=True)
class StandardError:
    """The standard error of a mean difference.

    Attributes:
        value: The error; NaN for one seed.
        df: Degrees of freedom of Student's t.
        rows: Test rows that were counted as a second source of chance; 0 where only seeds were.
        parts: What it consists of.
    """

    value: float
    df: float
    rows: int = 0
    parts: Parts = field(default_factory=lambda: Parts(seed=math.nan))


@dataclass(frozen=True, slots=True)
class Residuals:
    """What is left of the scores of all arms without the means of arms and seeds.

    Attributes:
        squares: Sum of their squares.
        largest: That of the arm which has most of them.
        arms: Number of arms.
        seeds: Number of seeds.
    """

    squares: float
    largest: float
    arms: int
    seeds: int

    @classmethod
    def of(cls, scores: Array) -> Residuals:
        """The residuals of scores ``[A, S]``."""
        left = scores - scores.mean(1, keepdims=True) - scores.mean(0, keepdims=True)
        squares = ((left + scores.mean()) ** 2).sum(1)
        return cls(float(squares.sum()), float(squares.max()), *scores.shape)

    @property
    def is_uneven(self) -> bool:
        """Whether an arm varies more than the others, by Cochran's test at `UNEVEN` (1941)."""
        df = (self.arms - 1) * (self.seeds - 1) / self.arms
        f = float(special.fdtri(df, (self.arms - 1) * df, 1 - UNEVEN / self.arms))
        return self.largest > self.squares / (1 + (self.arms - 1) / f)

    def prior(self, difference: Array) -> Prior | None:
        """What the other contrasts between the arms say of the spread of a difference.

        The residuals have (A - 1)(S - 1) degrees of freedom. S - 1 of them are those of the pair
        itself and are taken out, so that the rest is independent of the pair.

        Args:
            difference: Of two of the arms, ``[S]``.

        Returns:
            None for two arms, which leave no rest, and where arms vary so unequally that the
            others say nothing of the pair.
        """
        df = (self.arms - 2) * (self.seeds - 1)
        if df <= 0 or self.is_uneven:
            return None
        own = float(((difference - difference.mean()) ** 2).sum())
        return Prior(variance=max(2.0 * self.squares - own, 0.0) / df, df=df)


def over_seeds(difference: Array, prior: Prior | None = None, min_sd: float = 0.0) -> StandardError:
    """The error of the mean of one difference per seed.

    Args:
        difference: ``[S]``.
        prior: Moderates the variance over seeds (Smyth, 2004): a variance of a few seeds alone is
            often far too small.
        min_sd: The variance is at least that of values with this deviation.
    """
    seeds = len(difference)
    if seeds < 2:
        return StandardError(value=math.nan, df=math.nan)
    variance, df = _moderated(float(difference.var(ddof=1)), seeds - 1.0, prior)
    variance = max(variance, min_sd**2)
    return StandardError(value=math.sqrt(variance / seeds), df=df, parts=Parts(seed=variance))


def over_seeds_and_rows(
    difference: Array, outcomes: Array, prior: Prior | None = None, min_sd: float = 0.0
) -> StandardError:
    """The error of a mean difference over crossed seeds and rows, both of which are samples.

    ``(MS_seed + MS_row - MS_rest) / (S R)``, never below what either part gives alone, with
    Satterthwaite's degrees of freedom, never fewer than those of the seeds.

    Args:
        difference: Of the scores, ``[S]``.
        outcomes: Differences of the outcomes of the rows, ``[S, R]``; their means over rows are
            about `difference`.
        prior: See `over_seeds`.
        min_sd: See `over_seeds`; the spread of one row in one seed.

    References:
        Searle, Casella, McCulloch, "Variance Components", 1992. Owen, "The pigeonhole bootstrap",
        2007. https://arxiv.org/abs/0712.1111
    """
    seeds, rows = outcomes.shape
    if seeds < 2:
        return StandardError(value=math.nan, df=math.nan)
    by_seed, by_row = outcomes.mean(1, keepdims=True), outcomes.mean(0, keepdims=True)
    residual = outcomes - by_seed - by_row + outcomes.mean()
    df_seed, df_row, df_rest = seeds - 1.0, rows - 1.0, (seeds - 1.0) * (rows - 1.0)
    ms_rest = float((residual**2).sum()) / df_rest
    ms_row = seeds * float(by_row.var(ddof=1))
    variance, df_seed = _moderated(float(difference.var(ddof=1)), df_seed, prior)
    ms_seed = rows * variance
    total, largest = ms_seed + ms_row - ms_rest, max(ms_seed, ms_row)
    if total > largest:
        spread = ms_seed**2 / df_seed + ms_row**2 / df_row + ms_rest**2 / df_rest
        df = max(total**2 / spread, df_seed)
    else:
        total, df = largest, df_seed if ms_seed >= ms_row else max(df_row, df_seed)
    least = min_sd**2 / seeds
    return StandardError(
        value=math.sqrt(max(total / (seeds * rows), least)),
        df=df,
        rows=rows,
        parts=Parts(
            seed=max(max(ms_seed - ms_rest, 0.0) / rows, min_sd**2),
            row=max(ms_row - ms_rest, 0.0) / seeds,
            rest=ms_rest,
        ),
    )


def _moderated(variance: float, df: float, prior: Prior | None) -> tuple[float, float]:
    """The variance shrunk towards that of the others, and its degrees of freedom."""
    if prior is None:
        return variance, df
    weight = min(PRIOR_DF, prior.df)
    return (df * variance + weight * prior.variance) / (df + weight), df + weight
