"""Confirm seeds by a plan: looks at the runs so far, each at a level of its own.

Adding seeds until an interval excludes zero finds differences that are not there: two equal arms
differ significantly in 13 % of cases if they are compared at 5, 10, 15 and 20 seeds at 5 % each. A
plan that is written beforehand spends the 5 % over its looks instead (Lan and DeMets, 1983).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from raykd.results.confirmed import confirm_seed
from raykd.results.records import SweepResult
from raykd.results.stats import ALPHA

_GRID = 2001
_REACH = 8.0  # standard deviations of the process that the grid spans


def spending_levels(looks: Sequence[int], alpha: float = ALPHA) -> tuple[float, ...]:
    """The two-sided level of each look, so that all of them go wrong with probability `alpha`.

    The share of `alpha` that is spent by a look is that of its seeds in all of them. The levels are
    those of a normal process with independent increments (Armitage, McPherson, Rowe, 1969), and
    serve as levels of t tests.

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
    density = np.zeros(0)  # of the sum of the differences, where no look has stopped
    inside = np.zeros(0)
    levels, spent, before = [], 0.0, 0
    for seeds in looks:
        sd, own = np.sqrt(seeds), alpha * seeds / last - spent
        if not before:
            here = np.exp(-0.5 * (grid / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        else:
            more = np.sqrt(seeds - before)
            kernel = np.exp(-0.5 * ((grid[:, None] - inside[None, :]) / more) ** 2)
            here = kernel @ density * step / (more * np.sqrt(2 * np.pi))
        bound = _bound(grid, here, own, step)
        levels.append(float(2 * special.ndtr(-bound / sd)))
        keep = np.abs(grid) < bound
        inside, density = grid[keep], here[keep]
        spent, before = alpha * seeds / last, seeds
    return tuple(levels)


def _bound(grid: np.ndarray, density: np.ndarray, mass: float, step: float) -> float:
    """The value beyond which, in both directions together, a symmetric density has a mass."""
    right = grid >= 0
    x, tail = grid[right], density[right]
    beyond = np.concatenate([np.cumsum(((tail[1:] + tail[:-1]) / 2 * step)[::-1])[::-1], [0.0]])
    return float(np.interp(-mass / 2, -beyond, x))


def level_of(result: SweepResult, task: str) -> float:
    """The level at which the arms of a task are compared.

    That of the look that the confirm runs so far belong to, where seeds were added by a plan.
    """
    plan = result.seed_plans.get(task)
    if plan is None:
        return ALPHA
    confirm = [t for t in result.trials if t.task == task and t.stage == "confirm"]
    run = len({confirm_seed(t) for t in confirm})
    steps = zip(plan.looks, plan.levels, strict=True)
    return next((level for look, level in steps if run <= look), plan.levels[-1])
