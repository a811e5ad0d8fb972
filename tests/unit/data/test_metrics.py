from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from raykd.data import metrics


def test_accuracy_by_hand():
    assert metrics.accuracy(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])) == 0.75


def test_f1_by_hand():
    # 2 hits, 1 false alarm, 1 miss: precision = recall = 2/3.
    assert metrics.f1(np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])) == pytest.approx(2 / 3)


def test_f1_without_any_positive_is_zero():
    assert metrics.f1(np.zeros(3), np.zeros(3)) == 0.0


def test_matthews_by_hand():
    # Confusion: 3 true positives, 2 true negatives, 1 false positive, 2 false negatives.
    predicted = np.array([1, 1, 1, 0, 0, 1, 0, 0])
    labels = np.array([1, 1, 1, 0, 0, 0, 1, 1])
    expected = (3 * 2 - 1 * 2) / math.sqrt(4 * 5 * 3 * 4)
    assert metrics.matthews(predicted, labels) == pytest.approx(expected)


def test_matthews_of_three_classes_is_one_when_all_is_right():
    labels = np.array([0, 1, 2, 2, 1])
    assert metrics.matthews(labels, labels) == pytest.approx(1.0)


def test_matthews_of_two_classes_is_the_correlation_of_the_ids():
    rng = np.random.default_rng(0)
    predicted, labels = rng.integers(2, size=(2, 200))
    expected = np.corrcoef(predicted, labels)[0, 1]
    assert metrics.matthews(predicted, labels) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [metrics.matthews, metrics.pearson, metrics.spearman])
def test_a_constant_prediction_scores_zero(metric):
    assert metric(np.ones(4, np.int64), np.array([0, 1, 1, 0])) == 0.0


@pytest.mark.parametrize("metric", [metrics.matthews, metrics.pearson, metrics.spearman])
def test_a_single_row_scores_zero(metric):
    assert metric(np.ones(1, np.int64), np.ones(1, np.int64)) == 0.0


def test_correlations_equal_scipys_with_ties():
    rng = np.random.default_rng(1)
    x = rng.integers(5, size=100).astype(np.float32)
    y = x + rng.integers(3, size=100).astype(np.float32)
    assert metrics.pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert metrics.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_scores_are_nan_when_a_logit_is_not_finite():
    logits = np.array([[0.0, np.nan], [1.0, 0.0]])
    assert math.isnan(metrics.score_classes(("accuracy",), logits, np.zeros(2))["accuracy"])
    values = np.array([[np.inf], [1.0]])
    assert math.isnan(metrics.score_values(("pearson",), values, np.zeros(2))["pearson"])


def test_f1_macro_is_the_mean_over_the_classes():
    from raykd.data.metrics import f1_macro

    predicted, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])
    assert f1_macro(predicted, labels) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
