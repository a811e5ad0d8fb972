"""Paired differences: over seeds, over seeds and rows, moderated by other arms."""

import math

import numpy as np
import pytest
from scipy import stats

from raykd.results.differences import Comparison, ConfirmScores, paired_difference
from raykd.results.variance import Prior, Residuals, over_seeds, over_seeds_and_rows


def test_pairing_uses_common_seeds_only_and_removes_the_shared_part():
    # Differences 1, 2, 3 whatever the level of the seed; seed 9 has no partner.
    d = paired_difference({1: 11, 2: 102, 3: 1003, 9: 5}, {1: 10, 2: 100, 3: 1000}, "max")
    assert (d.mean, d.sd, d.n) == (2, 1, 3)
    # t(0.975, 2) = 4.302653: half width 2.484, so zero is inside
    assert d.interval.low == pytest.approx(2 - 4.302653 / math.sqrt(3), rel=1e-6)
    assert d.undecided
    assert d.p == pytest.approx(stats.ttest_1samp([1, 2, 3], 0).pvalue)


def test_with_a_metric_to_minimise_lower_counts_as_better():
    assert paired_difference({1: 1.0, 2: 1.1}, {1: 2.0, 2: 2.1}, "min").mean == pytest.approx(1.0)


def test_arms_without_a_common_seed_have_no_difference():
    assert paired_difference({1: 1.0}, {2: 1.0}, "max") is None


def test_equality_within_a_margin_is_two_one_sided_tests():
    values = [0.1, -0.2, 0.15, 0.0, -0.1, 0.05]
    d = paired_difference(dict(enumerate(values)), dict.fromkeys(range(6), 0.0), "max")
    above = stats.ttest_1samp(values, -0.14, alternative="greater").pvalue
    below = stats.ttest_1samp(values, 0.14, alternative="less").pvalue
    assert d.within(0.14) == (max(above, below) < 0.05)
    assert not d.within(0.05)
    assert d.within(0.2)


def test_what_other_arms_say_of_the_spread_is_independent_of_the_pair():
    """A prior of three arms is the residual of the third against the mean of the pair."""
    scores = np.random.default_rng(0).normal(size=(3, 6))
    prior = Residuals.of(scores).prior(scores[0] - scores[1])
    third = scores[2] - scores[:2].mean(0)  # variance 3/2 of one run, a difference has 2
    assert prior.df == 5
    assert prior.variance == pytest.approx(third.var(ddof=1) * 4 / 3)
    assert Residuals.of(scores[:2]).prior(scores[0] - scores[1]) is None


def test_an_arm_that_varies_much_more_speaks_for_no_other():
    rng = np.random.default_rng(0)
    actual = {}
    for ratio in (1, 8):
        uneven = [
            Residuals.of(rng.normal(size=(6, 8)) * np.r_[[1] * 5, ratio][:, None]).is_uneven
            for _ in range(400)
        ]
        actual[ratio] = np.mean(uneven)
    assert actual[1] < 0.1
    assert actual[8] > 0.9
    scores = rng.normal(size=(6, 8)) * np.array([1, 1, 1, 1, 1, 20])[:, None]
    assert Residuals.of(scores).prior(scores[0] - scores[1]) is None


def test_a_moderated_variance_by_hand():
    # variance 1 with 2 df, prior 4 with 10 df that counts for 4: (2 * 1 + 4 * 4) / 6 = 3
    error = over_seeds(np.array([1.0, 2.0, 3.0]), Prior(variance=4.0, df=10))
    assert (error.value, error.df) == (pytest.approx(1.0), 6)
    few = over_seeds(np.array([1.0, 2.0, 3.0]), Prior(variance=4.0, df=2))
    assert (few.value, few.df) == (pytest.approx(math.sqrt(2.5 / 3)), 4)


def test_seeds_and_rows_by_the_table_of_a_two_way_analysis_of_variance():
    """Against the sums of squares of a least-squares fit."""
    rng = np.random.default_rng(1)
    seeds, rows = 4, 30
    y = rng.normal(size=(seeds, 1)) + rng.normal(size=(1, rows)) + rng.normal(size=(seeds, rows))
    of_seed, of_row = (np.repeat(np.arange(seeds), rows), np.tile(np.arange(rows), seeds))

    def rss(*factors: np.ndarray) -> float:
        design = np.column_stack([np.ones(y.size), *(np.eye(f.max() + 1)[f] for f in factors)])
        fit = design @ np.linalg.lstsq(design, y.ravel(), rcond=None)[0]
        return float(((y.ravel() - fit) ** 2).sum())

    rest = rss(of_seed, of_row)
    ms_seed = (rss(of_row) - rest) / (seeds - 1)
    ms_row = (rss(of_seed) - rest) / (rows - 1)
    ms_rest = rest / ((seeds - 1) * (rows - 1))
    total = ms_seed + ms_row - ms_rest
    df = total**2 / (
        ms_seed**2 / (seeds - 1) + ms_row**2 / (rows - 1) + ms_rest**2 / (seeds - 1) / (rows - 1)
    )
    error = over_seeds_and_rows(y.mean(1), y)
    assert error.value == pytest.approx(math.sqrt(total / (seeds * rows)))
    assert error.df == pytest.approx(max(df, seeds - 1))
    assert error.rows == rows
    assert error.parts.variance(seeds, rows) == pytest.approx(error.value**2)


def test_rows_never_make_a_difference_surer_than_its_seeds():
    rng = np.random.default_rng(2)
    for _ in range(50):
        y = rng.normal(size=(5, 40))
        with_rows, alone = over_seeds_and_rows(y.mean(1), y), over_seeds(y.mean(1))
        assert with_rows.value >= alone.value * (1 - 1e-12)
        assert with_rows.df >= alone.df


def test_a_difference_is_no_surer_than_one_row():
    flat = np.zeros((5, 100))
    assert over_seeds_and_rows(flat.mean(1), flat, min_sd=0.01).value == pytest.approx(
        0.01 / math.sqrt(5)
    )


def test_arms_are_compared_on_the_seeds_that_all_have():
    """A seed that one arm lost is out for every pair; a thin arm takes none from the others."""
    table = {
        "kd": {1: 0.7, 2: 0.71, 3: 0.6, 4: 0.72},
        "a": {1: 0.69, 2: 0.7, 4: 0.7},
        "b": {1: 0.68, 2: 0.7, 3: 0.65, 4: 0.71},
        "thin": {3: 0.9},
    }
    together = Comparison([ConfirmScores(name=n, seeds=s) for n, s in table.items()], "max")
    assert together.shared == (1, 2, 4)
    assert together.thin == {"thin"}
    assert together.order() == ("kd", "a", "b", "thin")
    assert together.difference("kd", "b").mean == pytest.approx((0.02 + 0.01 + 0.01) / 3)
    assert together.difference("kd", "thin").n == 1


def test_rows_count_only_where_every_run_kept_them():
    rng = np.random.default_rng(4)
    rows = {s: (rng.random(50) < 0.7).astype(np.float32) for s in (1, 2, 3)}
    other = {s: (rng.random(50) < 0.6).astype(np.float32) for s in (1, 2, 3)}

    def compared(kept: dict[int, np.ndarray]) -> int:
        arms = [
            ConfirmScores(name="a", seeds={s: float(v.mean()) for s, v in rows.items()},
                          outcomes=rows),
            ConfirmScores(name="b", seeds={s: float(v.mean()) for s, v in other.items()},
                          outcomes=kept),
        ]  # fmt: skip
        return Comparison(arms, "max").difference("a", "b").error.rows

    assert compared(other) == 50
    assert compared({1: other[1], 2: other[2]}) == 0
    assert compared({**other, 3: other[3][:40]}) == 0
