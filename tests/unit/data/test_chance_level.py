"""What saying the same for every row scores, against values by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from raykd import registry
from raykd.data.base import EvalReferences, TokenizedDataset
from raykd.data.chance_level import constant_scores


def encoded(labels: list[int]) -> TokenizedDataset:
    count = len(labels)
    return TokenizedDataset(
        input_ids=np.zeros(count, np.int32), token_type_ids=np.zeros(count, np.int8),
        offsets=np.arange(count + 1), labels=np.asarray(labels, np.int64),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", (0.75, 0.25)),
        ("matthews", (0.0, 0.0)),
        ("f1", (0.0, 0.4)),  # of class 1: 2 * 1 / (4 + 1)
        # one class predicted and two there: F1 of 6/7 and 0, or 0 and 2/5, over two classes
        ("f1_macro", (3 / 7, 0.2)),
    ],
)
def test_every_class_has_its_score(metric: str, expected: tuple[float, ...]):
    rte = registry.load("tasks", "glue/rte")
    task = dataclasses.replace(rte, metric=metric, metrics=(metric,))
    assert constant_scores(task, encoded([0, 0, 0, 1]), metric) == pytest.approx(expected)


def test_a_class_that_no_row_has_scores_nothing():
    task = registry.load("tasks", "toy/sentiment")
    assert constant_scores(task, encoded([0, 0, 2, 2]), "accuracy") == (0.5, 0.0, 0.5)


def test_other_kinds_and_other_metrics_have_none():
    assert constant_scores(registry.load("tasks", "glue/stsb"), encoded([0]), "spearman") == ()
    assert constant_scores(registry.load("tasks", "glue/rte"), encoded([0]), "latency_ms") == ()


def replies(*accepted: str) -> TokenizedDataset:
    references = EvalReferences(
        groups=np.arange(len(accepted)), answers=tuple((text,) for text in accepted)
    )
    return dataclasses.replace(encoded([0] * len(accepted)), references=references)


def test_of_written_answers_the_commonest_are_tried():
    task = registry.load("tasks", "step_by_step/cqa")
    actual = constant_scores(task, replies("a", "a", "b", "c", "a"), "accuracy")
    assert actual == (0.6,)


def test_responses_that_no_two_rows_share_say_nothing():
    task = registry.load("tasks", "step_by_step/cqa")
    assert constant_scores(task, replies("a", "b"), "accuracy") == ()
    assert constant_scores(task, replies("a", "a"), "log_likelihood") == ()
