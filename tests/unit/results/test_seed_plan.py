"""Levels of the looks of a plan of seeds."""

import numpy as np
import pytest
from scipy import special, stats

from raykd.results.seed_plan import spending_levels


def test_one_look_has_the_whole_level():
    assert spending_levels([7])[0] == pytest.approx(0.05, rel=1e-3)


def test_two_looks_by_the_bivariate_normal_distribution():
    first, second = spending_levels([5, 10])
    assert first == pytest.approx(0.025, rel=1e-3)
    a, b = (-special.ndtri(level / 2) for level in (first, second))
    both = stats.multivariate_normal(cov=[[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]])
    inside = both.cdf([a, b], lower_limit=[-a, -b])
    assert 1 - inside == pytest.approx(0.05, rel=5e-3)


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
