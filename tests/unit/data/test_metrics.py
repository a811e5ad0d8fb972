from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from raykd.data import metrics
from raykd.errors import DataError


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


@st.composite
def classified(draw) -> tuple[np.ndarray, np.ndarray, int]:
    classes, rows = draw(st.integers(2, 5)), draw(st.integers(1, 12))
    some = st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)
    return np.array(draw(some)), np.array(draw(some)), classes


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(classified())
def test_classification_equals_scikit_learn_to_the_last_bit(made):
    predicted, labels, classes = made
    actual = metrics.score_classes(
        tuple(metrics.CLASSIFICATION), np.eye(classes)[predicted], labels
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of a single class
        wanted = {
            "accuracy": sklearn.metrics.accuracy_score(labels, predicted),
            "f1": sklearn.metrics.f1_score(labels == 1, predicted == 1, zero_division=0),
            "f1_macro": sklearn.metrics.f1_score(
                labels, predicted, average="macro", zero_division=0
            ),
            "matthews": sklearn.metrics.matthews_corrcoef(labels, predicted),
        }
    assert actual == wanted


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(2, 12).flatmap(
        lambda n: st.tuples(*[st.lists(st.integers(-40, 40), min_size=n, max_size=n)] * 2)
    ),
    st.sampled_from([1.0, 0.1, 1e-6, 1e6]),
    st.sampled_from([np.float32, np.float64]),
)
def test_regression_equals_scipy(made, scale, dtype):
    x, y = (np.array(values, dtype) * dtype(scale) for values in made)
    actual = metrics.score_values(("pearson", "spearman"), x[:, None], y)
    if (x == x[0]).all() or (y == y[0]).all():
        assert actual == {"pearson": 0.0, "spearman": 0.0}
        return
    assert actual["pearson"] == pytest.approx(
        stats.pearsonr(x.astype(np.float64), y.astype(np.float64)).statistic, abs=1e-9
    )
    assert actual["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, 1e30, 3.3333333])
@pytest.mark.parametrize("count", [3, 7, 1001])
def test_a_constant_prediction_has_no_correlation_whatever_its_mean_rounds_to(value, count):
    labels = np.arange(count) % 5
    constant = np.full(count, value, np.float32)
    assert metrics.pearson(constant, labels) == 0.0
    assert metrics.spearman(constant, labels) == 0.0


@pytest.mark.parametrize("label", [-1, 2, 0.5])
def test_labels_that_are_no_class_are_refused(label):
    with pytest.raises(
        DataError, match="1 of 2 labels are not class ids from 0 to 1, first: row 2"
    ):
        metrics.score_classes(("accuracy",), np.eye(2), np.array([0, label]))


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="1 of 2 labels are not numbers, first: row 2 has nan"):
        metrics.score_values(("pearson",), np.ones((2, 1)), np.array([0.0, np.nan]))
