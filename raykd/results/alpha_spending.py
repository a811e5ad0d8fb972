"""Levels of the looks of a plan of seeds, and what a p value that is observed at one is worth.

A plan that is written beforehand spends its 5 % over its looks (Lan and DeMets, 1983). It stops
where a p value is small, so that the one that it stopped at is smaller than chance would have it.
Where several claims are corrected together, the p value over the whole plan counts instead: the
least level of all looks together at which this look would still claim (repeated p values; Jennison
and Turnbull, 1984).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from raykd.results.stats import ALPHA

_GRID = 2001
_REACH = 8.0  # standard deviations of the process that the grid spans
_ALPHAS = (1e-6, 1e-4, 1e-3, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One look of a plan of seeds; by default the only one.

    Attributes:
        looks: Seeds at each look, increasing.
        number: Which one this is, from 0.
        levels: The level of each look as it was written beforehand; empty: as they are computed.
    """

    looks: tuple[int, ...] = (1,)
    number: int = 0
    levels: tuple[float, ...] = ()

    def level(self, alpha: float = ALPHA) -> float:
        """The two-sided level of this look in a plan that is wrong with probability `alpha`."""
        if len(self.looks) == 1:
            return alpha
        if alpha == ALPHA:
            return self._written()
        return self._scale() * _interpolated(alpha, _ALPHAS, self._computed())

    def overall(self, p: float) -> float:
        """The p value over the whole plan, of one that was observed at this look.

        It is at most `alpha` where `p` is at most ``level(alpha)``.
        """
        if len(self.looks) == 1:
            return p
        return min(_interpolated(p / self._scale(), self._computed(), _ALPHAS), 1.0)

    def _written(self) -> float:
        return (self.levels or _cached_levels(self.looks, ALPHA))[self.number]

    def _scale(self) -> float:
        """How much larger the level is than it would be computed now."""
        return self._written() / _cached_levels(self.looks, ALPHA)[self.number]

    def _computed(self) -> tuple[float, ...]:
        return _levels_of_look(self.looks, self.number)


def spending_levels(looks: Sequence[int], alpha: float = ALPHA) -> tuple[float, ...]:
    """The two-sided level of each look, so that all of them go wrong with probability `alpha`.

    The share of `alpha` that is spent by a look is that of its seeds in all of them. The levels are
    those of a normal process with independent increments (Armitage, McPherson, Rowe, 1969), and
    serve as levels of t tests. A step of the process is a convolution on a grid, of the same
    values as a matrix of all moves (to 1e-11), without one.

    Args:
        looks: Seeds at each look, increasing.
        alpha: The probability that any look finds a difference that is not there.

    Example:
        >>> [round(level, 4) for level in spending_levels([5, 10, 20])]
        [0.0125, 0.016, 0.0322]
    """
    last = looks[-1]
    grid = np.linspace(-_REACH, _REACH, _GRID) * np.sqrt(last)
    step = grid[1] - grid[0]
    moves = np.arange(1 - _GRID, _GRID) * step  # between any two points of the grid
    density = np.zeros(0)  # of the sum of the differences, 0 where a look has stopped
    levels, spent, before = [], 0.0, 0
    for seeds in looks:
        sd, own = np.sqrt(seeds), alpha * seeds / last - spent
        if not before:
            here = np.exp(-0.5 * (grid / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        else:
            more = np.sqrt(seeds - before)
            kernel = np.exp(-0.5 * (moves / more) ** 2)
            here = np.convolve(density, kernel, "valid") * step / (more * np.sqrt(2 * np.pi))
        bound = _bound(grid, here, own, step)
        levels.append(float(2 * special.ndtr(-bound / sd)))
        density = np.where(np.abs(grid) < bound, here, 0.0)
        spent, before = alpha * seeds / last, seeds
    return tuple(levels)


def _bound(grid: np.ndarray, density: np.ndarray, mass: float, step: float) -> float:
    """The value beyond which, in both directions together, a symmetric density has a mass."""
    right = grid >= 0
    x, tail = grid[right], density[right]
    beyond = np.concatenate([np.cumsum(((tail[1:] + tail[:-1]) / 2 * step)[::-1])[::-1], [0.0]])
    return float(np.interp(-mass / 2, -beyond, x))


@functools.lru_cache(maxsize=64)
def _cached_levels(looks: tuple[int, ...], alpha: float) -> tuple[float, ...]:
    return spending_levels(looks, alpha)


@functools.lru_cache(maxsize=64)
def _levels_of_look(looks: tuple[int, ...], number: int) -> tuple[float, ...]:
    """The level of a look in plans of each of `_ALPHAS`, which is in proportion below the least."""
    return tuple(_cached_levels(looks, alpha)[number] for alpha in _ALPHAS)


def _interpolated(x: float, at: Sequence[float], values: Sequence[float]) -> float:
    """Between logarithms; in proportion below the least."""
    if x <= at[0]:
        return x * values[0] / at[0]
    return float(np.exp(np.interp(np.log(x), np.log(at), np.log(values))))
