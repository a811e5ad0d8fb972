"""One rule says which class a value is, whatever format it was written in."""

from __future__ import annotations

import csv
import datetime
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from raykd.data.base import DataSettings
from raykd.data.class_names import class_ids
from raykd.data.own import OwnTask
from raykd.data.table import Table
from raykd.errors import DataError

REFUSED = "refused"


def ids(values, labels, **more) -> list[int]:
    table = Table(columns={"label": values}, origin="rows.csv", **more)
    return class_ids(table, "label", labels, own="mine").tolist()


@pytest.mark.parametrize(
    ("values", "labels", "expected"),
    [
        # A value that equals a name is that class, whatever its type.
        ([0, 1, 1, 0], ["1", "0"], [1, 0, 0, 1]),
        (["0", "1", "1"], ["1", "0"], [1, 0, 0]),
        ([0.0, 1.0], ["1", "0"], [1, 0]),
        ([0, 1, 2, 1], ["2", "1", "0"], [2, 1, 0, 1]),
        ([1, 2], ["1", "2"], [0, 1]),
        ([0, 4], ["0", "4"], [0, 1]),
        ([-1, 1], ["-1", "1"], [0, 1]),
        (["-1", "1"], ["-1", "1"], [0, 1]),
        ([4, 3, 2, 1], ["1", "2", "3", "4"], [3, 2, 1, 0]),
        ([True, False, True], ["True", "False"], [0, 1, 0]),
        (["True", "False"], ["True", "False"], [0, 1]),
        (["TRUE", "false"], ["True", "False"], [0, 1]),
        ([True, False], ["true", "false"], [0, 1]),
        (["0.5", "1.0"], ["1", "0.5"], [1, 0]),
        ([0.5, 1], ["1", "0.5"], [1, 0]),
        ([True, False], ["1", "0"], [0, 1]),
        (["True", "False"], ["0", "1"], [1, 0]),
        ([1, 2], ["01", "02"], [0, 1]),
        (["01", "02"], ["01", "02"], [0, 1]),
        # Names that are equal as numbers are told apart by their spelling.
        (["1.1", "1.10"], ["1.10", "1.1"], [1, 0]),
        # Ids, in every type, where no value is a name.
        ([1, 0], ["neg", "pos"], [1, 0]),
        (["1", "0"], ["neg", "pos"], [1, 0]),
        (["1.0", "0.0"], ["neg", "pos"], [1, 0]),
        ([1.0, 0.0], ["neg", "pos"], [1, 0]),
        ([np.int64(2), np.float32(1)], ["a", "b", "c"], [2, 1]),
        ([True, False], ["no", "yes"], [1, 0]),
        (["True", "False"], ["no", "yes"], [1, 0]),
        ([True, False], ["yes", "no"], [0, 1]),
        (["True", "false"], ["yes", "no"], [0, 1]),
        ([True, False], ["neg", "pos"], [1, 0]),
        (["True", "False"], ["neg", "pos"], [1, 0]),
        ([1, 0], ["no", "yes"], [1, 0]),
        ([0, 1], ["False", "True"], [0, 1]),
    ],
)
def test_the_class_of_a_value(values, labels, expected):
    assert ids(values, labels) == expected


@pytest.mark.parametrize(
    ("values", "labels", "message", "hint"),
    [
        # Names that are numbers exclude ids, and a column holds names or ids.
        (["1", "0", "3"], ["1", "2", "3"], "line 2: .* '0', expected one of 1, 2", "are not ids"),
        ([0, 0], ["1", "2"], "2 values of column 'label' are not a class", "are not ids"),
        (["neg", "1"], ["neg", "pos"], "line 2: .* '1', expected one of neg, pos", "not both"),
        ([1, 0], ["True", "False"], "2 values", "the other way round"),
        ([1.0], ["1", "1.00"], "holds 1.0", "more than one name"),
        ([True, False, True], ["a", "b", "c"], "3 values", "add True, False to labels"),
        (["Neg"], ["neg", "pos"], "holds 'Neg'", "differs from 'neg' in case or blanks"),
        (["neg "], ["neg", "pos"], "holds 'neg '", "differs from 'neg' in case or blanks"),
        (
            ["x", "y", "x"],
            ["neg", "pos"],
            r"3 .*'x' \(2\), 'y' \(1\)",
            "add 'x', 'y' to labels",
        ),
        (["\uff11"], ["no", "yes"], "holds", "to labels of task 'mine'"),  # a wide 1
        ([["neg", "pos"]], ["neg", "pos"], "holds the list", "several labels a row"),
        ([0.5], ["neg", "pos"], "holds 0.5", "add 0.5 to labels"),
        ([1, 2], ["neg", "pos"], "holds 2", "ids count from 0 in the order of labels"),
        ([0, 4], ["neg", "pos"], "holds 4", "these are the names of the classes, in quotes"),
        # As a name is to be written, whatever Python calls the value.
        ([datetime.date(2026, 1, 2)], ["a", "b"], "'2026-01-02'", "add '2026-01-02' to labels"),
        ([Decimal("2.50")], ["a", "b"], r"'2\.50'", "add '2.50' to labels"),
    ],
)
def test_what_is_no_class_is_refused_with_what_to_do(values, labels, message, hint):
    with pytest.raises(DataError, match=message) as caught:
        ids(values, labels, numbers=range(1, len(values) + 1), unit="line")
    assert hint in caught.value.hint


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), -1, "-1", "nan", "NULL", "N/A"])
def test_rows_without_a_label_are_counted(value):
    with pytest.raises(
        DataError, match=r"2 rows have no label, first: rows\.csv row 2: has no label"
    ):
        ids([0, value, value], ["neg", "pos"])


def test_rows_without_a_label_and_unknown_ones_are_reported_together():
    with pytest.raises(
        DataError, match=r"2 rows have no label, first: .* row 1.*; .* row 3: .*'x'"
    ):
        ids(["", None, "x", "pos"], ["neg", "pos"])


def test_a_name_may_be_what_says_nothing_elsewhere():
    assert ids(["none", "some", "-1"], ["none", "some", "-1"]) == [0, 1, 2]


def test_names_that_the_data_gives_to_its_ids_count_more_than_their_order(caplog):
    named = {"label": ("pos", "neg")}
    assert ids([0, 1, 0], ["neg", "pos"], class_names=named) == [1, 0, 1]
    assert not caplog.records
    assert ids([0, 1, 0], ["ham", "spam"], class_names=named) == [0, 1, 0]
    assert "pos is 'ham', neg is 'spam'" in caplog.text


def test_classes_without_a_row_are_reported(caplog):
    ids(["a", "b"], ["a", "b", "c"])
    assert "1 of 3 classes have no row: c" in caplog.text


def test_how_truth_values_are_taken_is_reported(caplog):
    assert ids([True, False], ["good", "bad"]) == [1, 0]
    assert "False is taken as 'good', True as 'bad'" in caplog.text


# The same values, written in each format, are the same classes.

NAMES = ["0", "1", "2", "-1", "4", "1.0", "0.5", "01", "True", "False", "true", "no", "yes", "neg"]
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=4)
COLUMNS = st.one_of(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=5),
    st.lists(st.sampled_from(NAMES) | TEXTS, min_size=1, max_size=5),
    st.lists(st.integers(-2, 5), min_size=1, max_size=5),
    st.lists(st.sampled_from([0.5, 1.5, -1.0, 0.0, 1.0, 2.0]), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
LABELS = st.lists(
    st.sampled_from(NAMES) | TEXTS.filter(str.strip), min_size=2, max_size=4, unique=True
)


def written(folder: Path, values: list[Any]) -> None:
    rows = [{"text": f"t{k}", "label": value} for k, value in enumerate(values)]
    with (folder / "csv.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows)
    with (folder / "tsv.tsv").open("w", encoding="utf-8", newline="") as file:
        file.writelines(
            f"{text}\t{label}\n" for text, label in [("text", "label"), *map(dict.values, rows)]
        )
    with (folder / "jsonl.jsonl").open("w", encoding="utf-8", newline="") as file:
        file.writelines(
            json.dumps(row, ensure_ascii=k % 2 == 0) + "\n" for k, row in enumerate(rows)
        )
    (folder / "json.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), folder / "parquet.parquet")


def read(folder: Path, split: str, labels: list[str]) -> Any:
    task = OwnTask(
        name="mine", about="A test.", texts=("text",), labels=tuple(labels), metric="accuracy",
        metrics=("accuracy",), hub=("", ""), hub_splits={}, path=str(folder),
    )  # fmt: skip
    try:
        return task.load(split, DataSettings()).labels.tolist()
    except DataError:
        return REFUSED


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(COLUMNS, LABELS)
@example([True, False, True], ["True", "False"])
@example([0, 1, 1, 0], ["1", "0"])
@example([1, 2], ["1", "2"])
@example([1.0, 0.0], ["no", "yes"])
def test_the_same_values_are_the_same_classes_in_every_format(values, labels):
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), values)
        formats = ("csv", "tsv", "jsonl", "json", "parquet")
        actual = {split: read(Path(folder), split, labels) for split in formats}
    assert len({str(classes) for classes in actual.values()}) == 1, actual


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(LABELS, st.data())
def test_names_are_their_own_classes_and_nothing_else_is(labels, data):
    rows = data.draw(st.lists(st.integers(0, len(labels) - 1), min_size=1, max_size=6))
    assert ids([labels[k] for k in rows], labels) == rows


@pytest.mark.parametrize("type_", [pa.float32(), pa.float64(), pa.int8(), pa.string()])
def test_types_of_parquet_are_the_same_values(tmp_path, type_):
    values = pa.array(["1", "0", "1"]).cast(type_)
    pq.write_table(pa.table({"text": ["a", "b", "c"], "label": values}), tmp_path / "t.parquet")
    assert read(tmp_path, "t", ["1", "0"]) == [0, 1, 0]
    assert read(tmp_path, "t", ["no", "yes"]) == [1, 0, 1]


def test_short_floats_are_the_numbers_they_are_printed_as(tmp_path):
    values = pa.array([0.1, 0.7, None], pa.float32())
    pq.write_table(pa.table({"text": ["a", "b", "c"], "label": values}), tmp_path / "t.parquet")
    assert read(tmp_path, "t", ["0.7", "0.1"]) == REFUSED
    pq.write_table(pa.table({"text": ["a", "b"], "label": values[:2]}), tmp_path / "t.parquet")
    assert read(tmp_path, "t", ["0.7", "0.1"]) == [1, 0]


def test_class_names_that_the_package_datasets_writes_into_parquet_are_read(tmp_path):
    import datasets

    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["pos", "neg"])
    )
    rows = {"text": ["a", "b"], "label": [0, 1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "t.parquet"))
    assert read(tmp_path, "t", ["neg", "pos"]) == [1, 0]
