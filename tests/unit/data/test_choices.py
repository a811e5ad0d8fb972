from __future__ import annotations

import numpy as np
import pytest

from raykd.data.base import Encoded, References
from raykd.data.choices import all_choices, answer_in_words, choice_accuracy, chosen


def encoded(groups, labels, **references) -> Encoded:
    nothing = np.zeros(0, np.int32)
    return Encoded(
        input_ids=nothing,
        token_type_ids=nothing,
        offsets=np.zeros(len(labels) + 1, np.int64),
        labels=np.array(labels),
        references=References(groups=np.array(groups), **references),
    )


def logits(*right: float) -> np.ndarray:
    return np.array([[0.0, value] for value in right])


def test_the_choice_that_is_most_likely_right_of_each_question():
    rows = encoded([0, 0, 3, 3, 3], [0, 1, 0, 0, 1])
    assert chosen(logits(1, 2, 5, 9, 7), rows).tolist() == [1, 3]
    assert chosen(logits(2, 2, 1, 1, 1), rows).tolist() == [0, 2]
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
    assert answer_in_words(logits(0, 1, 0, 1), rows) == {"exact_match": 0.0, "f1": 0.5}
