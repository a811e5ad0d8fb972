import math

import numpy as np
import pytest
from scipy import stats

from raykd.results.stats import (
    best_so_far,
    confidence_interval,
    expected_best,
    holm_correction,
    holm_levels,
    rank_over_tasks,
    share_at_least,
)


def test_t_interval_of_five_values_by_hand():
    # mean 3, sd sqrt(2.5), t(0.975, 4) = 2.776445 from a printed table
    e = confidence_interval([1, 2, 3, 4, 5])
    assert e is not None
    assert e.mean == 3
    assert e.sd == pytest.approx(math.sqrt(2.5))
    assert (e.high - e.low) / 2 == pytest.approx(2.776445 * math.sqrt(2.5) / math.sqrt(5), rel=1e-6)


def test_one_value_has_a_mean_and_no_interval():
    e = confidence_interval([0.5])
    assert e is not None
    assert e.mean == 0.5
    assert not e.has_interval
    assert math.isnan(e.sd)


def test_nan_and_infinite_values_are_left_out():
    e = confidence_interval([1.0, math.nan, 3.0, math.inf])
    assert e is not None
    assert (e.n, e.mean) == (2, 2.0)
    assert confidence_interval([math.nan]) is None


def test_holm_is_monotone_and_skips_missing_ones():
    assert holm_correction([0.01, None, 0.04, 0.03]) == (0.03, None, 0.06, 0.06)
    assert holm_correction([0.9, 0.8]) == (1.0, 1.0)


def test_holm_levels_exclude_zero_exactly_where_the_corrected_p_is_small():
    rng = np.random.default_rng(3)
    for _ in range(200):
        p_values = [None if rng.random() < 0.1 else float(rng.beta(0.3, 3)) for _ in range(6)]
        levels = holm_levels(p_values)
        for p, level, corrected in zip(p_values, levels, holm_correction(p_values), strict=True):
            assert p is None or (p < level) == (corrected < 0.05)


def test_best_so_far_skips_missing_values():
    assert best_so_far([None, 1.0, math.nan, 0.5, 2.0], "max") == (None, 1.0, 1.0, 1.0, 2.0)
    assert best_so_far([2.0, 3.0, 1.0], "min") == (2.0, 2.0, 1.0)


def test_expected_best_of_two_trials_by_hand():
    # Two draws with replacement from {1, 3}: best is 3 with probability 3/4
    assert expected_best([3.0, 1.0], "max") == pytest.approx((2.0, 2.5))
    assert expected_best([3.0, 1.0], "min") == pytest.approx((2.0, 1.5))
    assert expected_best([], "max") == ()


def test_share_at_least_respects_the_direction():
    assert share_at_least([1, 2, 3, math.nan], 2, "max") == pytest.approx(2 / 3)
    assert share_at_least([1, 2, 3], 1, "min") == pytest.approx(1 / 3)
    assert share_at_least([], 1, "max") is None


def test_mean_ranks_share_places_and_respect_the_direction():
    ranks = rank_over_tasks([{"a": 3, "b": 3, "c": 1}, {"a": 1, "b": 2, "c": 3}], ["max", "min"])
    assert ranks.means == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert rank_over_tasks([{"a": 1, "b": 2}, {"a": 1}], ["max", "max"]).means == {"a": 1.0}


def test_ranks_are_tested_by_friedman_where_there_are_three_arms():
    # Demsar 2006, 3.2.2, without ties: 12 N / (k (k + 1)) (sum R^2 - k (k + 1)^2 / 4)
    tasks = [{"a": 3, "b": 2, "c": 1}, {"a": 3, "b": 2, "c": 1}, {"a": 3, "b": 1, "c": 2}]
    ranks = rank_over_tasks(tasks, ["max"] * 3)
    means = np.array(list(ranks.means.values()))
    statistic = 12 * 3 / (3 * 4) * ((means**2).sum() - 3 * 16 / 4)
    assert ranks.p == pytest.approx(stats.chi2.sf(statistic, 2))
    assert rank_over_tasks([{"a": 3, "b": 2}] * 4, ["max"] * 4).p is None
    assert rank_over_tasks([{"a": 1, "b": 1, "c": 1}] * 2, ["max"] * 2).p is None
