from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from raykd.data.base import EvalReferences, TokenizedDataset
from raykd.data.choices import (
    all_choices,
    choice_accuracy,
    chosen,
    chosen_names,
    free_text_answer,
    names_of_right,
)


def encoded(groups, labels, **references) -> TokenizedDataset:
    nothing = np.zeros(0, np.int32)
    return TokenizedDataset(
        input_ids=nothing,
        token_type_ids=nothing,
        offsets=np.zeros(len(labels) + 1, np.int64),
        labels=np.array(labels),
        references=EvalReferences(groups=np.array(groups), **references),
    )


def logits(*right: float) -> np.ndarray:
    return np.array([[0.0, value] for value in right])


def test_the_choice_that_is_most_likely_right_of_each_question():
    rows = encoded([0, 0, 3, 3, 3], [0, 1, 0, 0, 1])
    assert chosen(logits(1, 2, 5, 9, 7), rows).tolist() == [1, 3]
    assert chosen(logits(2, 2, 1, 1, 1), rows).tolist() == [0, 2]
    named = encoded([0, 0, 3, 3, 3], [0, 1, 0, 0, 1], texts=tuple("abcde"))
    assert chosen_names(logits(1, 2, 5, 9, 7), named) == ["b", "d"]
    assert names_of_right(logits(-1, -2, 5, -9, 7), named) == ["", "c | e"]
    assert choice_accuracy(logits(1, 2, 5, 9, 7), rows) == {"accuracy": 0.5}


def test_every_choice_of_a_question_must_be_judged_right():
    rows = encoded([0, 0, 1], [1, 0, 1])
    assert all_choices(logits(1, -1, -1), rows) == {
        "f1_a": pytest.approx(2 / 3), "exact_match": 0.5,
    }  # fmt: skip


def test_answers_are_compared_in_words():
    rows = encoded(
        [0, 0, 1, 1], [0, 1, 1, 0],
        texts=("Ann", "Bea Smith", "Cy", "Di"), answers=(("Bea", "Smith Bea"), ("Cy",)),
    )  # fmt: skip
    assert free_text_answer(logits(0, 1, 0, 1), rows) == {"exact_match": 0.0, "f1": 0.5}


@pytest.mark.parametrize("seed", range(20))
def test_metrics_of_choices_equal_what_is_counted_question_by_question(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, rng.integers(1, 8))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(groups))  # choices of a question need not stand side by side
    groups, labels = groups[order], rng.integers(0, 2, len(groups))
    of = encoded(groups, labels)
    scores = rng.integers(-3, 4, (len(groups), 2)).astype(float)
    right, whole = [], []
    for question in np.unique(groups):
        rows = np.flatnonzero(groups == question)
        likely = scores[rows, 1] - scores[rows, 0]
        right.append(labels[rows[int(np.argmax(likely))]])
        whole.append((scores[rows].argmax(1) == labels[rows]).all())
    f1 = sklearn.metrics.f1_score(labels, scores.argmax(1), zero_division=0)
    assert choice_accuracy(scores, of) == {"accuracy": pytest.approx(np.mean(right))}
    assert all_choices(scores, of) == {
        "f1_a": pytest.approx(f1), "exact_match": pytest.approx(np.mean(whole)),
    }  # fmt: skip
