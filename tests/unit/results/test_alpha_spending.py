"""Levels of the looks of a plan of seeds."""

import numpy as np
import pytest
from scipy import special, stats

from raykd.results.alpha_spending import Look, spending_levels


def test_one_look_has_the_whole_level():
    assert spending_levels([7])[0] == pytest.approx(0.05, rel=1e-3)


def test_two_looks_by_the_bivariate_normal_distribution():
    first, second = spending_levels([5, 10])
    assert first == pytest.approx(0.025, rel=1e-3)
    a, b = (-special.ndtri(level / 2) for level in (first, second))
    both = stats.multivariate_normal(cov=[[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]])
    inside = both.cdf([a, b], lower_limit=[-a, -b])
    assert 1 - inside == pytest.approx(0.05, rel=5e-3)


def by_matrices(looks, alpha):
    """Levels by the matrix of moves between all points of the grid, as it is written in papers."""
    grid = np.linspace(-8, 8, 2001) * np.sqrt(looks[-1])
    step, spent, before, levels = grid[1] - grid[0], 0.0, 0, []
    density = np.where(grid == 0.0, 1 / step, 0.0)
    for seeds in looks:
        moved = stats.norm.pdf(grid[:, None] - grid[None, :], scale=np.sqrt(seeds - before))
        density = moved @ density * step
        right = grid >= 0
        areas = (density[right][1:] + density[right][:-1]) / 2 * step
        beyond = np.append(areas[::-1].cumsum()[::-1], 0.0)
        own = alpha * seeds / looks[-1] - spent
        bound = np.interp(-own / 2, -beyond, grid[right])
        levels.append(2 * special.ndtr(-bound / np.sqrt(seeds)))
        density = np.where(np.abs(grid) < bound, density, 0.0)
        spent, before = alpha * seeds / looks[-1], seeds
    return levels


@pytest.mark.parametrize("looks", [(5, 10, 20), (3, 4), (5, 10, 20, 40, 80)])
@pytest.mark.parametrize("alpha", [1e-6, 0.05])
def test_levels_are_those_by_matrices(looks, alpha):
    assert spending_levels(looks, alpha) == pytest.approx(by_matrices(looks, alpha), rel=1e-9)


def test_looks_together_keep_the_level_also_of_t_tests():
    rng = np.random.default_rng(0)
    d = rng.standard_normal((40_000, 20))
    looks = (5, 10, 20)
    stopped = np.zeros(len(d), bool)
    for n, level in zip(looks, spending_levels(looks), strict=True):
        part = d[:, :n]
        t = np.abs(part.mean(1)) / (part.std(1, ddof=1) / np.sqrt(n))
        stopped |= t > special.stdtrit(n - 1, 1 - level / 2)
    assert 0.045 < stopped.mean() < 0.053


def test_a_p_value_over_the_plan_is_that_of_the_look_turned_round():
    looks = (5, 10, 20)
    for number in range(3):
        look = Look(looks=looks, number=number)
        for alpha in (1e-8, 0.001, 0.0123, 0.05, 0.6):
            assert look.overall(look.level(alpha)) == pytest.approx(alpha)
        assert look.level(0.05) == spending_levels(looks)[number]
        assert look.level(0.0123) == pytest.approx(spending_levels(looks, 0.0123)[number], rel=0.02)
        assert look.overall(1.0) == 1.0
    assert Look(looks=looks, number=0).overall(0.001) == pytest.approx(0.004, rel=1e-3)
    written = Look(looks=looks, number=0, levels=(0.001, 0.002, 0.047))  # of another version
    assert written.level() == 0.001
    assert written.overall(0.001) == pytest.approx(0.05)
    assert (Look().level(0.03), Look().overall(0.03)) == (0.03, 0.03)


def test_p_values_over_the_plan_are_uniform_at_most_and_those_at_the_stop_are_not():
    looks = (5, 10, 20)
    sums = np.random.default_rng(1).standard_normal((40_000, 20)).cumsum(1)
    alone, overall = np.ones((2, len(sums)))
    running = np.ones(len(sums), bool)
    for number, n in enumerate(looks):
        look = Look(looks=looks, number=number)
        p = 2 * special.ndtr(-np.abs(sums[:, n - 1]) / np.sqrt(n))
        ends = running & ((p < look.level()) | (n == looks[-1]))
        alone[ends], overall[ends] = p[ends], [look.overall(float(one)) for one in p[ends]]
        running &= ~ends
    for alpha in (0.05, 0.02, 0.005):
        assert (overall < alpha).mean() < 1.15 * alpha
    assert (alone < 0.005).mean() > 1.7 * 0.005
