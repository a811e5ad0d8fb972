"""What rows of a benchmark add to a metric comes from what the harness logs of each of them."""

import math

import numpy as np
import pytest

from raykd.harness.rows import outcomes_by_row


def samples(values, metric="acc", filtered="none"):
    return [
        {"doc_id": k, "filter": filtered, metric: value, "doc": {}}
        for k, value in enumerate(values)
    ]


def test_of_a_mean_they_are_its_values_in_the_order_of_the_rows():
    logged = [*samples([1.0, 0.0, 1.0])[::-1], *samples([0.0, 0.0, 0.0], filtered="strict")]
    assert outcomes_by_row(logged, "acc", "none", 2 / 3).tolist() == [1.0, 0.0, 1.0]
    assert outcomes_by_row(logged, "acc", "strict", 0.0).tolist() == [0.0, 0.0, 0.0]
    assert outcomes_by_row(samples([True, False]), "acc", "none", 0.5).tolist() == [1.0, 0.0]


def bits(pairs) -> float:
    return -sum(p[0] for p in pairs) / sum(p[1] for p in pairs) / math.log(2)


def perplexity(pairs) -> float:
    return math.exp(-sum(p[0] for p in pairs) / sum(p[1] for p in pairs))


@pytest.mark.parametrize("metric", [bits, perplexity])
def test_of_a_ratio_they_are_the_pseudo_values_of_the_jackknife(metric):
    pairs = [(-20.0, 10), (-3.0, 4), (-44.0, 17), (-7.5, 9)]
    outcomes = outcomes_by_row(samples(pairs, "x"), "x", "none", metric(pairs))
    by_hand = [
        4 * metric(pairs) - 3 * metric(pairs[:k] + pairs[k + 1 :]) for k in range(len(pairs))
    ]
    assert outcomes.tolist() == pytest.approx(by_hand, rel=1e-6)


def test_a_metric_that_is_no_function_of_a_mean_has_none():
    assert outcomes_by_row(samples([(0, 1), (1, 1)], "f1"), "f1", "none", 2 / 3) is None
    assert outcomes_by_row(samples(["a", "b"], "bleu"), "bleu", "none", 12.0) is None
    assert outcomes_by_row(samples([1.0]), "acc", "none", 1.0) is None
    assert outcomes_by_row([], "acc", "none", 1.0) is None
    assert outcomes_by_row(samples([1.0, 0.0]), "acc", "none", np.nan) is None
