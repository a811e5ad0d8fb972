"""Soft labels and log-probabilities are read back as they were written, in every form."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raykd.data.folder_reader import READERS
from raykd.data.notes import listening
from raykd.data.soft_labels import LEAST, class_scores
from raykd.data.table import Table
from raykd.data.task_kinds import task_kind
from raykd.data.teacher_columns import TeacherColumns
from raykd.data.token_logprobs import token_logprobs
from raykd.errors import DataError
from tests.unit.data.test_file_lists import task

LABELS = ("no", "yes", "7", "it, depends")
QUICK = settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
FLOATS = st.floats(-(2.0**90), 2.0**90, width=32, allow_nan=False, allow_subnormal=False)
ROWS = st.lists(st.lists(FLOATS, min_size=4, max_size=4), min_size=1, max_size=5)


def in_list(row: Sequence[float]) -> Any:
    return list(row)


def in_mapping(row: Sequence[float]) -> Any:
    return dict(reversed([*zip(LABELS, row, strict=True)]))


def in_pairs(row: Sequence[float]) -> Any:
    return [{"label": n, "score": v} for n, v in reversed([*zip(LABELS, row, strict=True)])]


def as_csv(cells: Sequence[Any], mark: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=mark)
    writer.writerows([["k", "p"], *([k, json.dumps(cell)] for k, cell in enumerate(cells))])
    return file.getvalue().encode()


def as_parquet(cells: Sequence[Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"p": cell} for cell in cells]), file)
    return file.getvalue()


FORMS: tuple[Callable[[Sequence[float]], Any], ...] = (in_list, in_mapping, in_pairs)
FORMATS: dict[str, Callable[[Sequence[Any]], bytes]] = {
    ".csv": lambda cells: as_csv(cells, ","),
    ".jsonl": lambda cells: "\n".join(json.dumps({"p": cell}) for cell in cells).encode(),
    ".json": lambda cells: json.dumps([{"p": json.dumps(cell)} for cell in cells]).encode(),
    ".parquet": as_parquet,
}


def read(table: Table, form: str = "logits", kind: str = "classification") -> np.ndarray:
    columns = [name for name in table.columns if name != "k"]
    return class_scores(table, columns, form, task_kind(kind), LABELS)  # type: ignore[arg-type]


@QUICK
@given(rows=ROWS)
def test_numbers_of_classes_are_read_back_from_every_format_in_every_form(tmp_path, rows):
    for suffix, write in FORMATS.items():
        for form in FORMS:
            file = Path(tmp_path) / f"rows{suffix}"
            file.write_bytes(write([form(row) for row in rows]))
            actual = read(READERS[suffix](file))
            assert (actual == np.asarray(rows, np.float32)).all(), (suffix, form)


@QUICK
@given(rows=ROWS)
def test_a_column_for_each_class_is_read_as_a_list_would_be(rows):
    table = Table(columns={n: [str(r[k]) for r in rows] for k, n in enumerate(LABELS)}, origin="t")
    assert (read(table) == np.asarray(rows, np.float32)).all()


@QUICK
@given(rows=ROWS)
def test_probabilities_become_logits_with_the_same_probabilities(rows):
    logits = np.clip(np.asarray(rows), -15, 15)
    wide = np.exp(logits)
    softmax = wide / wide.sum(axis=1, keepdims=True)
    table = Table(columns={"p": softmax.tolist()}, origin="t")
    actual = np.exp(read(table, "probabilities").astype(np.float64))
    assert actual == pytest.approx(np.maximum(softmax, LEAST), rel=1e-5)
    apart = 1 / (1 + np.exp(-logits))
    table = Table(columns={"p": apart.tolist()}, origin="t")
    odds = read(table, "probabilities", "multi_label").astype(np.float64)
    assert 1 / (1 + np.exp(-odds)) == pytest.approx(apart, abs=1e-6)


@pytest.mark.parametrize(("swapped", "rows", "notes"), [(1, 20, 1), (0, 20, 0), (1, 19, 0)])
def test_numbers_that_say_the_opposite_of_the_labels_are_told(swapped, rows, notes):
    labels = [k % 2 for k in range(rows)]
    given = [[0.9, 0.1] if label == swapped else [0.1, 0.9] for label in labels]
    table = Table(columns={"text": ["x"] * rows, "mood": labels, "p": given}, origin="rows")
    own = task()
    with listening() as heard:
        TeacherColumns(scores=("p",)).add_to(own.read_table(table), table, "train", own)
    assert len(heard) == notes
    if notes:
        assert heard[0].startswith("rows: p: the likeliest class is the label in 0 of 20 rows")


def test_certainty_has_a_logarithm():
    table = Table(columns={"p": [[0, 1, 0, 0]]}, origin="t")
    assert read(table, "probabilities")[0] == pytest.approx(
        [math.log(LEAST), 0] + [math.log(LEAST)] * 2
    )
    assert np.isfinite(read(table, "probabilities", "multi_label")).all()


def test_a_number_beyond_float32_is_no_number():
    table = Table(columns={"p": [[1e39, 0, 0, 0]]}, origin="t")
    with pytest.raises(DataError, match=r"holds 1e\+39, expected a number"):
        read(table)


TOKENS = st.one_of(st.integers(0, 9), st.text(max_size=3))
LOGS = st.floats(-20, -3, allow_nan=False)
POSITION = st.tuples(TOKENS, LOGS, st.dictionaries(TOKENS, LOGS, max_size=4))


def written(position: tuple[Any, float, dict[Any, float]]) -> dict[str, Any]:
    own, log, others = position

    def one(token: Any, value: float) -> dict[str, Any]:
        return {"id" if isinstance(token, int) else "token": token, "logprob": value}

    return {**one(own, log), "top_logprobs": [one(*pair) for pair in others.items()]}


@QUICK
@given(rows=st.lists(st.lists(POSITION, min_size=1, max_size=3), min_size=1, max_size=3))
def test_log_probabilities_are_read_back_in_every_form(rows):
    plain = [[written(position) for position in row] for row in rows]
    forms = {
        "list": plain,
        "content": [{"content": row} for row in plain],
        "json": [json.dumps(row) for row in plain],
    }
    for name, cells in forms.items():
        actual = token_logprobs(Table(columns={"lp": cells}, origin="t"), "lp")
        for row, expected in zip(actual, rows, strict=True):
            assert [one.token for one in row] == [own for own, _, _ in expected], name
            for one, (own, log, others) in zip(row, expected, strict=True):
                assert dict(one.alternatives) == {**others, own: others.get(own, log)}, name


def test_lists_side_by_side_are_those_of_one_list():
    cell = {"tokens": ["a", "b"], "token_logprobs": [-1, -2],
            "top_logprobs": [{"a": -1, "c": -3}, None]}  # fmt: skip
    (row,) = token_logprobs(Table(columns={"lp": [cell]}, origin="t"), "lp")
    assert [one.alternatives for one in row] == [(("a", -1.0), ("c", -3.0)), (("b", -2.0),)]
