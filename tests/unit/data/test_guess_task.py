"""What a table of the user's seems to be."""

from __future__ import annotations

import pytest

from raykd.data.guess_task import class_names, guess_task
from raykd.data.table import Table
from raykd.errors import DataError

LONG = [f"a rather long text with number {k} in it" for k in range(12)]
IDS = [f"id{k}" for k in range(12)]


def guess(label: str = "", /, **columns):
    return guess_task(Table(columns=columns, origin="rows"), label)


def test_a_text_and_few_values_are_classes():
    actual = guess(id=IDS, body=LONG, verdict=["b", "a"] * 6)
    assert actual.kind == "classification"
    assert actual.keys == {"texts": ["body"], "label": "verdict", "labels": ["a", "b"]}
    assert actual.why == [
        "column 'verdict' holds 2 classes", "column 'body' holds the longest texts; not read: id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([3, 1, 2, 10], ["1", "2", "3", "10"]),
        (["0", "4"], ["0", "4"]),
        ([1.0, 0.0, 1], ["0", "1"]),
        ([-1, 1], ["-1", "1"]),
        ([True, False], ["False", "True"]),
        (["true", "FALSE"], ["False", "True"]),
        (["b", "a", "b "], ["a", "b", "b "]),
    ],
)
def test_class_names_are_in_an_order_that_a_reader_expects(values, names):
    assert class_names(values) == names


def test_many_numbers_or_fractions_are_a_score():
    actual = guess(text=LONG, score=[k / 10 for k in range(12)])
    assert (actual.kind, actual.keys["span"]) == ("regression", [0.0, 1.1])
    assert guess(text=LONG, score=[*range(6)] * 2).kind == "classification"


def test_names_of_pairs_and_of_labels_decide():
    actual = guess(premise=LONG, hypothesis=LONG, other=[0, 1] * 6, label=["x", "y"] * 6)
    assert actual.keys["texts"] == ["premise", "hypothesis"]
    assert actual.keys["label"] == "label"
    assert guess("other", premise=LONG, label=["x", "y"] * 6, other=[0, 1] * 6).keys["labels"] == [
        "0", "1",
    ]  # fmt: skip


def test_prompts_and_messages_are_texts():
    actual = guess(Question=LONG, context=LONG, answer=[f"{k} of them" for k in range(12)])
    assert (actual.kind, actual.keys) == (
        "text", {"prompt": "Question", "response": "answer", "context": "context"},
    )  # fmt: skip
    chat = [{"role": "user", "content": "hi"}]
    for column in ([chat] * 12, [str(chat).replace("'", '"')] * 12):
        assert guess(chats=column, n=[1, 2] * 6).keys == {"messages": "chats"}


@pytest.mark.parametrize(
    ("label", "columns", "words"),
    [
        ("", {"text": LONG}, "no column of rows seems to be a label"),
        ("", {"label": [0, 1] * 6}, "rows has no column of texts"),
        ("mood", {"text": LONG}, "has no column 'mood'"),
        (
            "id",
            {"id": [*IDS, *[f"x{k}" for k in range(300)]], "text": ["a"] * 312},
            "312 different",
        ),
    ],
)
def test_what_seems_to_be_no_task_is_told_with_the_columns(label, columns, words):
    with pytest.raises(DataError, match=words) as caught:
        guess(label, **columns)
    assert caught.value.hint
