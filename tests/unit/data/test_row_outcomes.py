"""Outcomes of rows: those of the jackknife, by scikit-learn and scipy without each row."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from raykd.data import metrics, row_outcomes
from raykd.data.base import EvalReferences

CLASSES = {
    "accuracy": sk.accuracy_score,
    "f1": lambda y, p: sk.f1_score(y == 1, p == 1, zero_division=0.0),
    "f1_macro": lambda y, p: sk.f1_score(y, p, average="macro", zero_division=0.0),
    "matthews": sk.matthews_corrcoef,
}


def drawn(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    scores = rng.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[labels]
    return scores, labels


def left_out(measure, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    keep = ~np.eye(len(labels), dtype=bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.array([measure(labels[k], predicted[k]) for k in keep])


@pytest.mark.parametrize("metric", sorted(CLASSES))
@pytest.mark.parametrize("classes", [2, 4])
def test_outcomes_of_classes_are_pseudo_values_of_scikit_learn(metric: str, classes: int):
    scores, labels = drawn(60, classes)
    predicted = scores.argmax(1)
    whole = metrics.CLASSIFICATION[metric](predicted, labels)
    expected = 60 * whole - 59 * left_out(CLASSES[metric], predicted, labels)
    outcomes = row_outcomes.of_classes(metric, scores, labels)
    np.testing.assert_allclose(outcomes, expected, atol=1e-10)
    assert outcomes.mean() == pytest.approx(whole, abs=0.02)


@pytest.mark.parametrize("ties", [False, True])
def test_outcomes_of_correlations_are_pseudo_values_of_scipy(ties: bool):
    rng = np.random.default_rng(1)
    labels = rng.normal(size=80)
    values = labels + rng.normal(size=80)
    if ties:
        labels, values = np.round(labels * 2) / 2, np.round(values)
    for metric, reference in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        whole = reference(values, labels).statistic
        without = left_out(lambda y, p, t=reference: t(p, y).statistic, values, labels)
        outcomes = row_outcomes.of_values(metric, values[:, None], labels)
        np.testing.assert_allclose(outcomes, 80 * whole - 79 * without, atol=1e-8)
        assert outcomes.mean() == pytest.approx(whole, abs=0.01)


def test_a_constant_prediction_has_no_correlation_without_any_row():
    labels = np.array([1.0, 2.0, 3.0, 4.0])
    for metric in metrics.REGRESSION:
        assert not row_outcomes.of_values(metric, np.full((4, 1), 2.5), labels).any()


def test_blocks_of_rows_give_what_all_at_once_do(monkeypatch):
    rng = np.random.default_rng(2)
    values, labels = rng.normal(size=(50, 1)), rng.integers(0, 5, 50).astype(float)
    whole = row_outcomes.of_values("spearman", values, labels)
    monkeypatch.setattr(row_outcomes, "_CHUNK", 130)
    np.testing.assert_allclose(row_outcomes.of_values("spearman", values, labels), whole)


def test_a_ratio_of_sums_is_left_out_by_hand():
    # 6 / 10; without the rows 5/8, 4/7, 3/5
    outcomes = row_outcomes.of_ratio(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 5.0]))
    np.testing.assert_allclose(outcomes, 3 * 0.6 - 2 * np.array([5 / 8, 4 / 7, 3 / 5]))


def test_the_rows_of_a_mean_are_its_values():
    values = {"f1": [0.5, 1.0, 0.0], "exact_match": [0.0, 1.0, 0.0]}
    assert row_outcomes.means(values) == {"f1": 0.5, "exact_match": pytest.approx(1 / 3)}


def test_texts_are_their_own_outcomes():
    from raykd import registry

    task = registry.load("tasks", "toy_text/replies")
    references = EvalReferences(groups=np.arange(2), answers=((" good: nice.",), (" bad: sad.",)))
    actual = task.text_outcomes("accuracy", [" good: fine.", " good: nice."], references)
    whole = task.score_texts([" good: fine.", " good: nice."], references)["accuracy"]
    assert actual.mean() == whole
    assert set(actual.tolist()) <= {0.0, 1.0}


def test_f1_over_choices_is_left_out_question_by_question():
    from raykd.data.choices import all_choices, outcomes_of_choices

    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), 3)
    labels = rng.integers(0, 2, 36)
    scores = rng.normal(size=(36, 2)) + np.eye(2)[labels]

    class Rows:
        def __init__(self, keep: np.ndarray):
            self.references = EvalReferences(groups=groups[keep])
            self.labels = labels[keep]

    everything = np.ones(36, bool)
    actual = outcomes_of_choices(scores, Rows(everything))
    whole = all_choices(scores, Rows(everything))
    without = np.array([
        all_choices(scores[groups != q], Rows(groups != q))["f1_a"] for q in range(12)
    ])  # fmt: skip
    np.testing.assert_allclose(actual["f1_a"], 12 * whole["f1_a"] - 11 * without)
    assert actual["exact_match"].mean() == whole["exact_match"]


def test_a_metric_of_the_whole_text_has_no_outcomes_by_row():
    from raykd.data.text_scores import TextMeasure

    measure = TextMeasure(names=("rouge_l", "exact_match", "chrf"))
    texts, accepted = ["a b", "c d"], [["a b"], ["c e"]]
    assert measure.by_text("exact_match", texts, accepted) == [1.0, 0.0]
    assert measure.by_text("rouge_l", texts, accepted) == [1.0, 0.5]
    assert measure.by_text("chrf", texts, accepted) is None
