"""Rows in two splits are found by what a model reads of them."""

from __future__ import annotations

import numpy as np

from raykd import registry
from raykd.data.base import Examples
from raykd.data.shared_rows import digests, shared
from raykd.data.text_generation import Example, rows_of

SENTIMENT = registry.load("tasks", "toy/sentiment")
REPLIES = registry.load("tasks", "toy_text/replies")
COPA = registry.load("tasks", "super_glue/copa")


def rows(*texts: str, labels: list[int] | None = None) -> Examples:
    return Examples(texts=(texts,), labels=np.asarray(labels or [0] * len(texts), np.int64))


def test_counts_and_sizes_of_every_pair():
    splits = {
        "train": rows("a", "b", "c", "d"),
        "validation": rows("c", "x", "y"),
        "test": rows("a", "x", "c", "z", "a"),
    }
    assert shared(SENTIMENT, splits, ("train",)) == {
        "validation in train": (1, 3),
        "test in train": (3, 5),
        "test in validation": (2, 5),
    }


def test_splits_without_common_rows_have_nothing_to_say():
    splits = {"train": rows("a"), "validation": rows("b"), "test": rows("c")}
    assert shared(SENTIMENT, splits, ("train",)) == {}


def test_rows_of_the_teacher_count_where_it_is_trained_on_them():
    splits = {
        "train": rows("a"), "finetune": rows("a", "b"), "validation": rows("b"), "test": rows("c"),
    }  # fmt: skip
    assert shared(SENTIMENT, splits, ("train",)) == {}
    assert shared(SENTIMENT, splits, ("train", "finetune")) == {"validation in train": (1, 1)}


def test_extra_evaluation_splits_are_checked_too():
    splits = {"train": rows("a"), "validation": rows("b"), "test": rows("c"),
              "test_mismatched": rows("b", "a")}  # fmt: skip
    assert shared(SENTIMENT, splits, ("train",)) == {
        "test_mismatched in train": (1, 2),
        "test_mismatched in validation": (1, 2),
    }


def test_a_split_that_serves_twice_is_shared_as_a_whole():
    both = rows("x", "y")
    splits = {"train": rows("a"), "validation": both, "test": both}
    assert shared(SENTIMENT, splits, ("train",)) == {"test in validation": (2, 2)}


def test_the_label_is_no_part_of_a_row():
    splits = {
        "train": rows("a", "a", "b", "b", labels=[0, 1, 1, 1]),
        "validation": rows("a", labels=[2]), "test": rows("z"),
    }  # fmt: skip
    assert shared(SENTIMENT, splits, ("train",)) == {
        "validation in train": (1, 1),
        "train with another label": (2, 4),
    }


def test_the_same_characters_cut_differently_are_other_rows():
    one = Examples(texts=(("ab",), ("c",)), labels=np.zeros(1, np.int64))
    two = Examples(texts=(("a",), ("bc",)), labels=np.zeros(1, np.int64))
    assert digests(SENTIMENT, one) != digests(SENTIMENT, two)


def test_choices_are_part_of_a_row():
    def question(*choices: str) -> Examples:
        return Examples(texts=(("why?",),), labels=np.zeros(1, np.int64),
                    fields={"choices": (choices,), "right": ((True, False),)})  # fmt: skip

    assert digests(COPA, question("x", "y")) == digests(COPA, question("x", "y"))
    assert digests(COPA, question("x", "y")) != digests(COPA, question("x", "z"))


def test_of_text_tasks_the_prompt_is_the_row_and_the_response_is_not():
    def written(response: str) -> Examples:
        return rows_of([Example(before="q", response=response)], "here")

    assert digests(REPLIES, written("yes")) == digests(REPLIES, written("no"))


def test_lone_surrogates_have_a_hash():
    assert len(digests(SENTIMENT, rows("\ud83d"))) == 1
