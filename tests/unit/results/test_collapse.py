"""Runs that collapsed are found, and ordinary ones are not."""

import numpy as np
import pytest
from scipy import stats

from raykd.results.collapse import allow_for_collapses, collapsed_runs, more_reliable
from raykd.results.stats import confidence_interval
from raykd.results.summary import arm_summaries
from tests.cases.planted_records import TASK, sweep

ERROR = float(np.sqrt(0.527 * 0.473 / 277))


def of(*values: float) -> dict[int, float]:
    return dict(enumerate(values, start=11))


def test_a_run_at_the_level_of_one_answer_has_collapsed():
    arms = {"kd": of(0.70, 0.527, 0.69, 0.531, 0.70), "ckd": of(0.70, 0.71, 0.69, 0.7, 0.71)}
    actual = collapsed_runs(arms, "max", constant=[0.473, 0.527], error=ERROR)
    assert actual == {"kd": (12, 14), "ckd": ()}


def test_an_arm_that_never_learns_has_not_collapsed():
    actual = collapsed_runs({"none": of(0.53, 0.54, 0.52)}, "max", constant=[0.527], error=ERROR)
    assert actual == {"none": ()}


def test_a_run_far_below_its_arm_has_collapsed_whatever_the_direction():
    losses = {"a": of(1.00, 1.02, 0.99, 1.01, 3.0), "b": of(1.1, 1.12, 1.08, 1.11, 1.09)}
    assert collapsed_runs(losses, "min") == {"a": (15,), "b": ()}


def test_a_seed_that_is_hard_for_several_arms_is_no_collapse_of_each():
    seeds = (11, 12, 13, 14, 15)
    none = dict(zip(seeds, (0.6, 0.61, 0.6, 0.57, 0.6), strict=True))
    kd = dict(zip(seeds, (0.7, 0.706, 0.703, 0.66, 0.702), strict=True))
    lost = {s: v for s, v in zip(seeds, (0.696, 0.701, 0.699, 0, 0.697), strict=True) if v}
    assert not any(collapsed_runs({"none": none, "kd": kd, "arm": lost}, "max").values())
    # Alone on that seed, or much further below than the others, it is one.
    alone = {"none": {**none, 14: 0.601}, "kd": kd, "arm": {**lost, 14: 0.7}}
    assert collapsed_runs(alone, "max") == {"none": (), "kd": (14,), "arm": ()}
    deep = {"none": none, "kd": {**kd, 14: 0.3}, "arm": lost}
    assert collapsed_runs(deep, "max")["kd"] == (14,)


def test_ordinary_runs_are_rarely_taken_for_collapsed_ones():
    rng = np.random.default_rng(0)
    flagged = total = 0
    for _ in range(400):
        arms = {f"a{k}": of(*rng.normal(0.66, 0.012, 5)) for k in range(3)}
        actual = collapsed_runs(arms, "max", min_sd=1 / 277)
        flagged += sum(len(seeds) for seeds in actual.values())
        total += 15
    assert flagged / total < 0.005


def test_an_interval_allows_for_the_collapses_of_other_arms():
    interval = confidence_interval([0.70, 0.71, 0.69, 0.70, 0.70])
    assert allow_for_collapses(interval, [], 10, "max") == interval
    wide = allow_for_collapses(interval, [0.5], 10, "max")
    share = stats.beta.ppf(0.95, 2, 9)  # 1 of 10: at most 39 %
    assert wide.low == pytest.approx(0.70 - share * 0.2)
    assert (wide.mean, wide.high) == (interval.mean, interval.high)
    losses = confidence_interval([1.0, 1.1, 0.9])
    assert allow_for_collapses(losses, [3.0], 6, "min").high > 1.5


@pytest.mark.parametrize("seeds", [5, 10])
def test_intervals_of_arms_hold_the_mean_of_arms_that_collapse(seeds: int):
    """10 % of the runs of five arms fall from 66 to 52.7 points."""
    rng = np.random.default_rng(1)
    truth, hits = 0.9 * 0.66 + 0.1 * 0.527, []
    for _ in range(200):
        down = rng.random((5, seeds)) < 0.1
        table = np.where(down, 0.527, rng.normal(0.66, 0.012, (5, seeds)))
        result = sweep(**{f"a{k}": row.tolist() for k, row in enumerate(table)})
        hits += [a.confirmed.low <= truth <= a.confirmed.high for a in arm_summaries(result, TASK)]
    assert np.mean(hits) > 0.85


def test_reliability_is_fishers_exact_test():
    # Both margins fixed, 5 of 20 runs failed, all in one arm: p = 2 * C(10, 5) / C(20, 5)
    assert more_reliable(0, 10, 5, 10) == pytest.approx(2 * 252 / 15504)
    assert more_reliable(1, 5, 2, 5) == pytest.approx(stats.fisher_exact([[1, 4], [2, 3]]).pvalue)
