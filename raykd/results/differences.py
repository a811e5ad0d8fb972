"""Differences between arms, paired by seed: how large, how sure, and against which other arms."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special

from raykd.results.alpha_spending import Look
from raykd.results.stats import (
    ALPHA,
    ConfidenceInterval,
    critical,
    holm_correction,
    holm_levels,
)
from raykd.results.variance import (
    Prior,
    Residuals,
    StandardError,
    over_seeds,
    over_seeds_and_rows,
)

Outcomes = Mapping[int, NDArray[np.float32]]
"""Confirm seed to the outcome of its run on each test row."""

MIN_SEEDS = 3
"""Fewer pairs decide nothing, whatever their interval: it is as wide as chance would have it."""
MIN_EQUAL = 6
"""So many equal differences are taken for a difference, where no row says what is the least."""
_FLAT = 1e-9  # of the values: what rounding leaves of equal differences


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """One arm minus another, paired by seed; positive is better whatever the metric's direction.

    Attributes:
        mean: Mean difference.
        sd: Standard deviation of the differences over seeds; NaN for one.
        n: Seeds.
        error: The standard error of the mean.
        alpha: Share of intervals that may miss the true difference.
        corrected_alpha: What is left of it after the correction for several comparisons.
        bounds: The least and the largest difference that the metric can have.
    """

    mean: float
    sd: float
    n: int
    error: StandardError
    alpha: float = ALPHA
    corrected_alpha: float = ALPHA
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @property
    def interval(self) -> ConfidenceInterval:
        """The t interval of this difference alone."""
        return self.interval_at(self.alpha)

    @property
    def corrected(self) -> ConfidenceInterval:
        """The t interval corrected for the other comparisons."""
        return self.interval_at(self.corrected_alpha)

    def interval_at(self, alpha: float) -> ConfidenceInterval:
        """The t interval that misses the true difference in a share `alpha` of all cases."""
        least, largest = self.bounds
        half = critical(alpha, self.error.df) * self.error.value
        return ConfidenceInterval(
            mean=self.mean, sd=self.sd, n=self.n,
            low=half if math.isnan(half) else max(self.mean - half, least),
            high=half if math.isnan(half) else min(self.mean + half, largest),
        )  # fmt: skip

    @property
    def p(self) -> float | None:
        """Two-sided p value of Student's t; None where there is no test."""
        if self.n < MIN_SEEDS or self._is_flat:
            return None
        if self.error.value == 0.0:
            return 1.0 if self.mean == 0.0 else 0.0
        return float(2 * special.stdtr(self.error.df, -abs(self.mean) / self.error.value))

    @property
    def undecided(self) -> bool:
        """Whether the two cannot be told apart.

        That is below `MIN_SEEDS` pairs, where the corrected interval contains 0, and where it has
        no width: a few equal differences are no certainty.
        """
        e = self.corrected
        return self.n < MIN_SEEDS or self._is_flat or e.low <= 0.0 <= e.high

    @property
    def better(self) -> bool:
        """Whether the first arm is better: the interval excludes zero, on enough seeds."""
        return not self.undecided and self.mean > 0.0

    def within(self, margin: float) -> bool:
        """Whether the two are equal within a margin: two one-sided tests at `alpha`."""
        e = self.interval_at(2 * self.alpha)
        return self.n >= MIN_SEEDS and not self._is_flat and -margin < e.low and e.high < margin

    @property
    def _is_flat(self) -> bool:
        return self.n < MIN_EQUAL and self.error.value <= _FLAT * max(abs(self.mean), 1e-300)


def paired_difference(
    arm: Mapping[int, float],
    other: Mapping[int, float],
    mode: str,
    min_sd: float = 0.0,
    *,
    prior: Prior | None = None,
    outcomes: tuple[Outcomes, Outcomes] | None = None,
) -> PairedDifference | None:
    """How much better `arm` is than `other`, over the seeds both have; None without common ones.

    Args:
        arm: Seed to value.
        other: Seed to value.
        mode: ``max`` or ``min``; with ``min`` the sign is turned, so that positive is better.
        min_sd: See `raykd.results.variance.over_seeds`.
        prior: What other arms say of the spread over seeds.
        outcomes: Of the test rows, for both arms; None counts the seeds alone.
    """
    sign = -1.0 if mode == "min" else 1.0
    seeds = [s for s in sorted(arm) if s in other and math.isfinite(arm[s] - other[s])]
    if not seeds:
        return None
    values = np.array([sign * (arm[s] - other[s]) for s in seeds])
    rows = None if outcomes is None else _of_rows(*outcomes, seeds)
    if rows is None:
        error = over_seeds(values, prior, min_sd)
    else:
        error = over_seeds_and_rows(values, sign * rows, prior, min_sd)
    mean = math.fsum(values) / len(values)
    sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return PairedDifference(mean=mean, sd=sd, n=len(values), error=error)


def _of_rows(arm: Outcomes, other: Outcomes, seeds: Sequence[int]) -> NDArray[np.float64] | None:
    """Differences of outcomes, ``[S, R]``; None where some run left none, or of other rows."""
    kept = [(arm.get(s), other.get(s)) for s in seeds]
    pairs = [(a, b) for a, b in kept if a is not None and b is not None]
    lengths = {len(values) for pair in pairs for values in pair}
    if len(pairs) < len(seeds) or len(lengths) != 1 or lengths.pop() < 2:
        return None
    return np.stack([a.astype(np.float64) - b for a, b in pairs])


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmScores:
    """What the confirm runs of an arm left.

    Attributes:
        name: The arm.
        seeds: Confirm seed to value on the test split.
        outcomes: Confirm seed to the outcome on each test row, as far as they were kept.
    """

    name: str
    seeds: Mapping[int, float]
    outcomes: Outcomes = field(default_factory=dict)


def mean_of(scores: ConfirmScores, min_sd: float = 0.0) -> ConfidenceInterval | None:
    """The mean of an arm with its interval, over seeds and, where they were kept, over rows.

    Args:
        scores: Of the arm.
        min_sd: See `raykd.results.variance.over_seeds`.
    """
    nothing = {seed: np.zeros_like(values) for seed, values in scores.outcomes.items()}
    difference = paired_difference(
        scores.seeds, dict.fromkeys(scores.seeds, 0.0), "max", min_sd,
        outcomes=(scores.outcomes, nothing),
    )  # fmt: skip
    return difference.interval if difference else None


class Comparison:
    """The confirmed arms of a task, compared on the seeds that all of them have.

    Arms with less than half of the seeds of the fullest one are not part of that: they would leave
    too few. They are compared with another one on the seeds that both have.

    Args:
        arms: Those with a confirm run.
        mode: ``max`` or ``min``.
        min_sd: The least spread over seeds that the test split can tell from none.
        bounds: The least and the largest difference that the metric can have.
        look: The look of a plan of seeds; None where there is no plan.

    Attributes:
        shared: The seeds that all arms have, but for the thin ones.
        thin: Arms with too few seeds.
        look: The look of a plan of seeds, whose level is that of intervals.
    """

    def __init__(
        self,
        arms: Sequence[ConfirmScores],
        mode: str,
        min_sd: float = 0.0,
        bounds: tuple[float, float] = (-math.inf, math.inf),
        look: Look | None = None,
    ) -> None:
        self._arms = {a.name: a for a in arms if a.seeds}
        self._mode, self._min_sd, self._bounds = mode, min_sd, bounds
        self.look = look or Look()
        self._alpha = self.look.level()
        most = max((len(a.seeds) for a in self._arms.values()), default=0)
        self.thin = frozenset(n for n, a in self._arms.items() if 2 * len(a.seeds) < most)
        full = [a for n, a in self._arms.items() if n not in self.thin]
        self.shared = tuple(sorted(set.intersection(*(set(a.seeds) for a in full)) if full else ()))
        scores = np.array([[a.seeds[s] for s in self.shared] for a in full])
        self._residuals = Residuals.of(scores) if len(self.shared) > 1 else None

    def order(self) -> tuple[str, ...]:
        """The arms, best first, by their means over the shared seeds; thin ones come last."""
        sign = 1.0 if self._mode == "min" else -1.0

        def place(name: str) -> tuple[bool, float]:
            own = self._arms[name].seeds
            seeds = [s for s in own if s in self.shared] or list(own)
            return name in self.thin, sign * math.fsum(own[s] for s in seeds) / len(seeds)

        return tuple(sorted(self._arms, key=place))

    def difference(self, name: str, other: str) -> PairedDifference | None:
        """How much better one arm is than another; None where they share no seed."""
        if name not in self._arms or other not in self._arms:
            return None
        arm, than = self._arms[name], self._arms[other]
        is_full = not self.thin & {name, other}
        of, against = (
            ({s: a.seeds[s] for s in self.shared} if is_full else a.seeds) for a in (arm, than)
        )
        difference = paired_difference(
            of, against, self._mode, self._min_sd,
            prior=self._prior(of, against) if is_full else None,
            outcomes=(arm.outcomes, than.outcomes),
        )  # fmt: skip
        if difference is None:
            return None
        return dataclasses.replace(
            difference, alpha=self._alpha, corrected_alpha=self._alpha, bounds=self._bounds
        )

    def overall_p(self, difference: PairedDifference | None) -> float | None:
        """The p value of a difference over all looks of the plan; None where there is no test."""
        p = difference.p if difference else None
        return None if p is None else self.look.overall(p)

    def _prior(self, of: Mapping[int, float], against: Mapping[int, float]) -> Prior | None:
        if self._residuals is None:
            return None
        return self._residuals.prior(np.array([of[s] - against[s] for s in self.shared]))


def all_against(
    together: Comparison, other: str, names: Sequence[str]
) -> dict[str, tuple[PairedDifference | None, float | None]]:
    """Each arm against the same one, corrected by Holm's method over all that are.

    Args:
        together: The confirmed arms.
        other: The arm that they are compared with; it has no difference.
        names: Arms.

    Returns:
        Name to its difference, with an interval at the corrected level, and its corrected p value.
    """
    differences = [None if name == other else together.difference(name, other) for name in names]
    p_values = [together.overall_p(d) for d in differences]
    levels = [together.look.level(level) for level in holm_levels(p_values)]
    return {
        name: (d and dataclasses.replace(d, corrected_alpha=level), p)
        for name, d, level, p in zip(
            names, differences, levels, holm_correction(p_values), strict=True
        )
    }
