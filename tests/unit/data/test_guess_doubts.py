"""What is doubtful about what a table seems to be is said, or refused where nothing would fit."""

from __future__ import annotations

import pytest

from raykd.data.guess_task import guess_task
from raykd.data.separated import read_csv
from raykd.data.table import Table
from raykd.errors import DataError

TEXTS = [f"a rather long text with number {k} in it" for k in range(12)]


def guess(label: str = "", /, **columns):
    return guess_task({"train": Table(columns=columns, origin="rows")}, label)


def doubts(labels, **splits) -> list[str]:
    tables = {
        split: Table(columns={"text": TEXTS, "label": values}, origin=split)
        for split, values in {"train": labels, **splits}.items()
    }
    return [line for line in guess_task(tables).why if line.startswith("CHECK")]


def test_rows_without_a_label_are_counted_in_each_split():
    train, dev = ["a", "b", None] * 4, ["a", "b"] * 5 + ["", "a"]
    first, second = doubts(train, validation=dev)
    assert first.startswith("CHECK: 4 of 12 rows of train have no 'label', which is refused")
    assert second.startswith("CHECK: 1 of 12 rows of validation have no 'label'")
    assert doubts(["a", "b"] * 6, test=[None] * 12) == []  # a test split without labels


def test_prompts_without_a_response_are_counted():
    columns = {"prompt": TEXTS, "chosen": [*TEXTS[:11], None], "rejected": TEXTS}
    actual = guess(**columns)
    assert actual.keys == {"prompt": "prompt", "response": "chosen"}
    assert "1 of 12 rows of train have no 'chosen'" in actual.why[-1]


def test_minus_one_may_mean_no_label():
    (doubt,) = doubts([-1, 0, 1] * 4)
    assert "-1 is taken for a label" in doubt
    assert doubts([-1, 1] * 6) == []


def test_values_of_several_parts_may_be_several_classes():
    (doubt,) = doubts(["a|b", "b", "c"] * 4)
    assert doubt.startswith("CHECK: 'a|b' is taken for one class")
    assert doubts(["either; or", "neither", "both"] * 4) == []  # no part occurs elsewhere


def test_numbers_for_each_class_are_sets(tmp_path):
    actual = guess(text=TEXTS, topics=[[1, 0, 1], [0, 1, 0], [0, 0, 0]] * 4)
    assert actual.kind == "multi_label"
    assert actual.keys["labels"] == ["topics 0", "topics 1", "topics 2"]
    assert "CHECK their names" in actual.why[0]


def test_lists_of_0_and_1_are_for_two_classes_where_one_holds_a_number_twice():
    """Others are names of classes, as they are when rows are read."""
    for rows, labels in (
        ([[0, 1], [1, 1]], ["topics 0", "topics 1"]),
        ([[0, 1], [1, 0]], ["0", "1"]),
    ):
        assert guess("topics", text=TEXTS, topics=rows * 6).keys["labels"] == labels


def test_a_file_without_names_of_columns_is_refused(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(f"{text},{('pos', 'neg')[k % 2]}" for k, text in enumerate(TEXTS)))
    with pytest.raises(DataError, match="seems to have no line with the names") as caught:
        guess_task({"train": read_csv(file)})
    assert "put a line such as text,label first" in caught.value.hint
    assert guess_task({"train": read_csv(file)}, "pos").keys["label"] == "pos"


@pytest.mark.parametrize(
    ("columns", "words", "hint"),
    [
        ({"text": TEXTS, "label": ["0,5", "1,5"] * 6}, "holds numbers with a comma", "decimal"),
        ({"text": TEXTS, "label": ["007", "7"] * 6}, r"1 different values \('007', '7' are one\)",
         "--label"),
        ({"text": [TEXTS], "label": [["a", "b"] * 6]}, "has one row of lists", "orient='records'"),
        ({"version": [1], "data": [[{"text": "a"}]]}, "no column of rows", "stand in 'data'"),
    ],
)  # fmt: skip
def test_what_would_be_taken_for_something_else_is_refused(columns, words, hint):
    with pytest.raises(DataError, match=words) as caught:
        guess(**columns)
    assert hint in caught.value.hint


def test_two_columns_of_a_name_are_refused():
    table = Table(columns={"text": TEXTS, "label": ["a", "b"] * 6}, origin="rows", twice={"text"})
    with pytest.raises(DataError, match="more than one column 'text'"):
        guess_task({"train": table})
