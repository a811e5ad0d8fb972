from __future__ import annotations

import numpy as np
import pytest

from raykd.data import columns
from raykd.data.base import Examples
from raykd.data.table import Table
from raykd.errors import DataError

YES_NO = ("no", "yes")


def table(**values) -> Table:
    return Table(columns=values, origin="rows.parquet")


def test_texts_may_be_empty_but_are_counted(caplog):
    actual = columns.texts(table(a=["x", "", " "]), "a")
    rows = columns.checked([actual], np.zeros(3, np.int64), "rows.parquet")
    assert columns.empty_texts(rows) == 2
    assert "2 of 3 rows have an empty text" in caplog.text


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["a"]])
def test_a_value_that_is_no_text_is_named_with_its_row(value):
    with pytest.raises(DataError, match=r"row 2: column 'a' holds .*, expected a text"):
        columns.texts(table(a=["fine", value]), "a")


def test_a_missing_column_names_those_there_are():
    with pytest.raises(DataError, match=r"no column 'a' \(columns: b, c\)"):
        columns.texts(table(b=["x"], c=["y"]), "a")


@pytest.mark.parametrize("values", [[1, 0], ["yes", "no"], ["1", "0"], [True, False], [1.0, 0.0]])
def test_labels_may_be_ids_or_names(values):
    actual = columns.class_ids(table(label=values), "label", YES_NO)
    assert actual.dtype == np.int64
    assert actual.tolist() == [1, 0]


@pytest.mark.parametrize("value", [2, -2, 0.5, "maybe"])
def test_a_label_out_of_range_is_named(value):
    with pytest.raises(DataError, match=r"row 2: column 'label' holds .*, expected one of no, yes"):
        columns.class_ids(table(label=[0, value]), "label", YES_NO)


@pytest.mark.parametrize("value", [None, -1, "", "-1", float("nan"), "nan", "NULL"])
def test_an_unlabelled_row_is_told_from_a_wrong_one(value):
    with pytest.raises(DataError, match="row 2: has no label"):
        columns.class_ids(table(label=[0, value]), "label", YES_NO)


def test_scores_may_be_text():
    actual = columns.scores(table(score=["3.25", 5, 0.0]), "score", 0, 5)
    assert actual.dtype == np.float32
    assert actual.tolist() == [3.25, 5.0, 0.0]


@pytest.mark.parametrize("value", [-1, 5.5, "high", "1_0", "0,5", "1e999", True, [1]])
def test_a_score_that_cannot_be_used_is_named(value):
    with pytest.raises(
        DataError, match=r"row 1: column 'score' holds .*, expected a number from 0 to 5"
    ):
        columns.scores(table(score=[value]), "score", 0, 5)


def test_no_rows_is_an_error():
    with pytest.raises(DataError, match="has no rows"):
        columns.checked([()], np.zeros(0, np.int64), "rows.parquet")


def test_a_row_is_counted_once_when_both_texts_are_empty():
    rows = Examples(texts=(("", "a"), ("", "b")), labels=np.zeros(2, np.int64))
    assert columns.empty_texts(rows) == 1
