from __future__ import annotations

import json
from pathlib import Path

import pytest

from raykd.data.base import Examples
from raykd.data.rationales import from_file, rationales_as_input, relabelled, with_rationales
from raykd.data.text_generation import Example, rows_of
from raykd.errors import DataError


def three() -> Examples:
    examples = [
        Example(
            before="Q: ", context=f"is {k} even?", after="\nA: ", response="yes",
            rationale="It is." if k else "", row=f"r{k}", llm_label=("", "no", "yes")[k],
        )
        for k in range(3)
    ]  # fmt: skip
    return rows_of(examples, "test")


def lines(path: Path, *entries: object) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_rationales_of_a_file_are_joined_by_row_and_split(tmp_path):
    path = lines(
        tmp_path / "why.jsonl",
        {"id": "r2", "rationale": " Two is. "},
        {"id": "r0", "rationale": "Zero is.", "split": "train"},
        {"id": "r0", "rationale": "of test", "split": "test"},
    )
    assert from_file(path, "test") == {"r0": "of test"}
    rows = with_rationales(three(), from_file(path, "train"), "why")
    assert rows.fields["rationales"] == ("Zero is.", "", "Two is.")


def test_rows_without_a_name_are_called_by_their_number(tmp_path):
    rows = rows_of([Example(before=str(k), response="a") for k in range(3)], "test")
    reported = from_file(lines(tmp_path / "why.jsonl", {"id": 1, "rationale": "one"}), "train")
    assert with_rationales(rows, reported, "why").fields["rationales"] == ("", "one", "")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"id": "a", "rationale": "x"}, {"id": "a", "rationale": "y"}], "second rationale of row"),
        ([{"id": "a"}], r"why\.jsonl line 1: has no rationale"),
        ([["a", "x"]], "line 1: .* is not a mapping"),
        ([{"id": "a", "rationale": 3}], "line 1: the rationale is 3, expected a text"),
    ],
)
def test_a_file_that_is_none_is_refused_by_line(entries, message, tmp_path):
    with pytest.raises(DataError, match=message):
        from_file(lines(tmp_path / "why.jsonl", *entries), "train")


def test_a_file_that_is_missing_or_of_other_rows_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        from_file(tmp_path / "none.jsonl", "train")
    with pytest.raises(DataError, match="ids like 'x', and the data has ids like 'r0'"):
        with_rationales(three(), {"x": "why"}, "why")


def test_a_rationale_becomes_the_last_line_of_what_may_be_cut():
    rows = rationales_as_input(three(), "test")
    assert rows.texts[0] == (
        "Q: is 0 even?\nA: ", "Q: is 1 even?\nIt is.\nA: ", "Q: is 2 even?\nIt is.\nA: "
    )  # fmt: skip
    for prompt, (first, last) in zip(rows.texts[0], rows.fields["cut"], strict=True):
        assert prompt[:first] == "Q: "
        assert prompt[last:] == "\nA: "


def test_labels_of_a_model_replace_those_of_the_data_and_blank_ones_are_counted():
    rows = relabelled(three(), "test")
    assert rows.texts[1] == ("no", "yes")
    assert rows.fields["ids"] == ("r1", "r2")
    assert rows.left_out == 1
    with pytest.raises(DataError, match="no row of test has a label"):
        relabelled(rows_of([Example(before="a", response="b")], "test"), "test")


def test_rationales_are_cut_at_line_feeds_only(tmp_path):
    path = tmp_path / "why.jsonl"
    path.write_text('\ufeff{"id": 2.0, "rationale": "one\u2028two\x85three"}\n', encoding="utf-8")
    assert from_file(path, "train") == {"2": "one\u2028two\x85three"}


def test_lines_that_are_no_rationale_are_counted(tmp_path):
    path = lines(tmp_path / "why.jsonl", {"rationale": "x"}, {"id": 1}, {"id": 2, "rationale": "y"})
    with pytest.raises(
        DataError, match=r"2 lines are not a rationale of a row, first: .*line 1: .*id"
    ):
        from_file(path, "train")


def test_a_row_that_shares_its_id_is_refused():
    examples = [Example(before=str(k), response="a", row="r") for k in range(2)]
    with pytest.raises(DataError, match="a rationale of row 'r', and 2 rows have that id"):
        with_rationales(rows_of(examples, "test"), {"r": "why"}, "why")
