import math

import numpy as np
import pytest
from scipy import special, stats

from raykd.results.stats import (
    best_so_far,
    confidence_interval,
    expected_best,
    gap_recovered,
    holm_correction,
    mean_ranks,
    paired_difference,
    share_at_least,
    sign_flip_test,
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


def test_pairing_uses_common_seeds_only_and_removes_the_shared_part():
    # Differences 1, 2, 3 whatever the level of the seed; seed 9 has no partner.
    d = paired_difference({1: 11, 2: 102, 3: 1003, 9: 5}, {1: 10, 2: 100, 3: 1000}, "max")
    assert d is not None
    assert (d.interval.mean, d.interval.sd, d.interval.n) == (2, 1, 3)
    # t(0.975, 2) = 4.302653: half width 2.484, so zero is inside
    assert d.interval.low == pytest.approx(2 - 4.302653 / math.sqrt(3), rel=1e-6)
    assert d.undecided


def test_with_a_metric_to_minimise_lower_counts_as_better():
    d = paired_difference({1: 1.0, 2: 1.1}, {1: 2.0, 2: 2.1}, "min")
    assert d is not None
    assert d.interval.mean == pytest.approx(1.0)


def test_arms_without_a_common_seed_have_no_difference():
    assert paired_difference({1: 1.0}, {2: 1.0}, "max") is None


def test_sign_flip_needs_six_pairs():
    assert sign_flip_test([1.0] * 5) is None
    # all 64 sign patterns: only all-plus and all-minus are as extreme
    assert sign_flip_test([1.0] * 6) == pytest.approx(2 / 64)


def test_sign_flip_counts_patterns_by_hand():
    # Sum is 4; |sum of +-1 over 6| >= 4 happens for 0 or 1 minus signs: (1 + 6) * 2 of 64
    assert sign_flip_test([1, 1, 1, 1, 1, -1]) == pytest.approx(14 / 64)


@pytest.mark.parametrize("pairs", [6, 7, 10])
def test_sign_flip_equals_the_permutation_test_of_scipy(pairs):
    differences = np.random.default_rng(pairs).normal(0.5, 1.0, pairs)
    theirs = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip_test(list(differences)) == theirs.pvalue


def test_sign_flip_counts_patterns_that_differ_by_rounding_only():
    # Their sum is 0 but for rounding: every pattern is as extreme.
    assert sign_flip_test([0.1, 0.2, 0.3, -0.1, -0.2, -0.3]) == 1.0


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_sign_flip_of_many_pairs_is_the_paired_t_test_by_its_formula(shift):
    differences = np.random.default_rng(0).normal(shift, 1.0, 25)
    t = abs(differences.mean()) / (differences.std(ddof=1) / 5)
    p = 2 * special.stdtr(24, -t)
    assert sign_flip_test(list(differences)) == pytest.approx(p, rel=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("difference", "p"), [(0.1, 0.0), (-0.1, 0.0), (0.0, 1.0)])
def test_many_equal_differences_have_no_spread_to_test(difference, p):
    almost = [difference * (1 + 1e-16 * k) for k in range(25)]
    assert sign_flip_test(almost) == p


def test_sign_flip_of_many_pairs_falls_back_to_the_t_test():
    p = sign_flip_test([0.1, -0.1] * 15)
    assert p == pytest.approx(1.0)


def test_holm_is_monotone_and_skips_missing_ones():
    assert holm_correction([0.01, None, 0.04, 0.03]) == (0.03, None, 0.06, 0.06)
    assert holm_correction([0.9, 0.8]) == (1.0, 1.0)


def test_gap_recovered_by_hand_in_both_directions():
    none = confidence_interval([0.6, 0.6])
    assert none is not None
    assert gap_recovered(0.7, none, 0.8, "max") == pytest.approx(0.5)
    loss = confidence_interval([2.0, 2.0])
    assert loss is not None
    assert gap_recovered(1.5, loss, 1.0, "min") == pytest.approx(0.5)


def test_no_gap_when_the_teacher_is_not_better_than_the_noise():
    none = confidence_interval([0.6, 0.7])  # standard error 0.05
    assert none is not None
    assert gap_recovered(0.7, none, 0.69, "max") is None
    assert gap_recovered(0.7, none, 0.5, "max") is None
    assert gap_recovered(0.7, none, 0.75, "max") is not None


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
    ranks = mean_ranks([{"a": 3, "b": 3, "c": 1}, {"a": 1, "b": 2, "c": 3}], ["max", "min"])
    assert ranks == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert mean_ranks([{"a": 1, "b": 2}, {"a": 1}], ["max", "max"]) == {"a": 1.0}
