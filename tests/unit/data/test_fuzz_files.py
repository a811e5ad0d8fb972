"""Whatever stands in a data file: rows, or an error that says what is wrong.

``RAYKD_FUZZ=5000 pytest tests/unit/data/test_fuzz_files.py`` tries that many, other ones every
time; without it 1,610 are tried, always the same (with those of the other fuzz tests, 2,000).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from raykd.data.base import DataSettings, Task
from raykd.data.folder_reader import SUFFIXES, FolderReader
from raykd.data.guess_task import guess_task
from raykd.errors import RaykdError
from raykd.spec.load import load_spec
from raykd.task_setup.tasks import task_of
from tests.cases.data_case import SPACE

MANY = int(os.environ.get("RAYKD_FUZZ", "0"))
LONGEST_S = 2.0
"""Of processor time, for a file of a few kB."""

ROWS: dict[str, list[dict[str, Any]]] = {
    "classification": [
        {"text": f"the film was {w}", "other": w, "label": label}
        for w, label in (("cold", "neg"), ("warm", "pos"), ("long", "neg"), ("bright", "pos"))
    ],
    "regression": [{"text": f"row {k}", "other": "x", "label": k / 4} for k in range(4)],
    "multi_label": [
        {"text": f"row {k}", "other": "x", "label": ["neg", "pos"][: k % 3]} for k in range(4)
    ],
    "text": [
        {"prompt": f"say {k}", "response": f"it is {k}", "context": "", "label": "neg"}
        for k in range(4)
    ],
    "messages": [
        {"messages": [{"role": "user", "content": f"say {k}"},
                      {"role": "assistant", "content": "yes"}], "label": "neg"}
        for k in range(4)
    ],
    "token_classification": [
        {"text": ["Ada", "lives", "in", "Rome"], "label": ["B-PER", "O", "O", "B-LOC"]},
        {"text": ["no", "name"], "label": ["O", "O"]},
    ],
}  # fmt: skip
KEYS: dict[str, dict[str, Any]] = {
    "classification": {"texts": ["text", "other"], "label": "label", "labels": ["neg", "pos"]},
    "regression": {"kind": "regression", "texts": ["text"], "label": "label", "span": [0, 1]},
    "multi_label": {
        "kind": "multi_label", "texts": ["text"], "label": "label", "labels": ["neg", "pos"],
    },
    "text": {"kind": "text", "prompt": "prompt", "response": "response"},
    "messages": {"kind": "text", "messages": "messages"},
    "token_classification": {
        "kind": "token_classification", "texts": ["text"], "label": "label",
        "labels": ["O", "B-PER", "B-LOC"],
    },
}  # fmt: skip
ODD: list[Any] = [
    None, "", " ", "neg", "pos", "NEG", " pos ", 0, 1, 2, -1, 0.5, 1e308, 10**400, math.nan,
    math.inf, True, False, [], [[]], ["neg"], ["neg", None], [1, "a"], {}, {"text": "x"}, "\0",
    "\ufeff", "\ud800", "\u2028", "a\nb", '"', "'", ",", "\t", "\r", "é", "=1+1", "nan", "1,5",
    "0" * 5_000, "x" * 20_000, "[" * 3_000, "[1" + "]" * 9, b"\xff",
    [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}],
]  # fmt: skip
PIECES = [
    b"", b"\0", b"\n", b"\r", b"\r\n", b'"', b"'", b",", b"\t", b";", b"{", b"}", b"[", b"]", b":",
    b"\xff", b"\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\u", b"\\ud800", b"null", b"NaN",
    b"1e999", b"-", b"PAR1", b"\x1f\x8b", "\u2028".encode(), b"[" * 3_000, b"9" * 5_000,
]  # fmt: skip


def as_json(value: Any) -> str:
    """Text of a value, also of one that JSON lacks."""
    return json.dumps(value, default=str)


def separated(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    """The rows as a table of texts."""
    file = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(file, delimiter=delimiter, escapechar="\\")
    writer.writerow(names)
    for row in rows:
        cells = (row.get(name) for name in names)
        writer.writerow([c if isinstance(c, str | int | float) else as_json(c) for c in cells])
    return file.getvalue().encode("utf-8", errors="surrogatepass")


def parquet(rows: list[dict[str, Any]]) -> bytes:
    """The rows in types of Parquet, or as texts where a column has none."""
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
            pq.write_table(pa.table({name: columns[name]}), io.BytesIO())
        except (pa.ArrowException, OverflowError, UnicodeError):
            columns[name] = pa.array([as_json(value) for value in values])
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def tagged(rows: list[dict[str, Any]], mark: str) -> bytes:
    """The words of rows one a line, each with all values of its row, and blank lines between."""
    lines = [
        mark.join([word, *map(str, row.values())]) for row in rows for word in str(row).split()
    ]
    return "\n\n".join(lines).encode(errors="replace")


WRITERS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    ".csv": lambda rows: separated(rows, ","),
    ".tsv": lambda rows: separated(rows, "\t"),
    ".jsonl": lambda rows: "\n".join(map(as_json, rows)).encode(),
    ".ndjson": lambda rows: "\r\n".join(map(as_json, rows)).encode(),
    ".json": lambda rows: as_json(rows).encode(),
    ".txt": lambda rows: "\n".join(str(row) for row in rows).encode(errors="replace"),
    ".parquet": parquet,
    ".conll": lambda rows: tagged(rows, "\t"),
    ".iob": lambda rows: tagged(rows, " "),
    ".bio": lambda rows: tagged(rows, "  "),
}


def test_every_format_is_tried():
    assert set(WRITERS) == set(SUFFIXES)


def changed_rows(draw: st.DrawFn, rows: list[dict[str, Any]]) -> None:
    """Put odd values, columns and rows among them."""
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 3]))):
        row = draw(st.sampled_from(rows)) if rows else {}
        name = draw(st.sampled_from([*row, "label", "text", "", "new"]))
        how = draw(st.sampled_from(["value", "value", "value", "drop", "twice", "column", "none"]))
        if how == "value":
            row[name] = draw(st.sampled_from(ODD) | st.text(max_size=6) | st.floats())
        elif how == "drop":
            row.pop(name, None)
        elif how == "twice":
            rows.append(dict(row))
        elif how == "column":
            for one in rows:
                one[name] = draw(st.sampled_from(ODD))
        else:
            del rows[draw(st.integers(0, 4)) :]


def changed_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """The content of a file in which some bytes are others."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(content)))
        end = at + draw(st.integers(0, 9))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
        how = draw(st.sampled_from(["cut", "put", "swap", "end", "empty", "encoding", "pack"]))
        if how == "cut":
            content = content[:at] + content[end:]
        elif how == "put":
            content = content[:at] + piece + content[at:]
        elif how == "swap":
            content = content[:at] + piece + content[end:]
        elif how == "end":
            content = content[:at]
        elif how == "empty":
            content = piece
        elif how == "encoding":
            encoding = draw(st.sampled_from(["utf-16", "latin-1", "utf-8-sig", "cp1252"]))
            content = content.decode(errors="replace").encode(encoding, errors="replace")
        else:
            content = gzip.compress(content)
    return content


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """Kind of a task, name of its file, and what is in it."""
    kind, suffix = draw(st.sampled_from(sorted(ROWS))), draw(st.sampled_from(sorted(WRITERS)))
    rows = [dict(row) for row in ROWS[kind]]
    changed_rows(draw, rows)
    content = changed_bytes(draw, WRITERS[suffix](rows))
    packed = ".gz" if draw(st.integers(0, 9)) == 0 else ""
    if packed and draw(st.booleans()):
        content = gzip.compress(content)
    return kind, f"train{suffix}{packed}", content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def tasks(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Task]:
    """A task of each kind whose rows are in the folder."""
    made = {}
    for kind, keys in KEYS.items():
        own = {"name": f"own_{kind}", "path": str(folder), **keys}
        file = tmp_path_factory.mktemp("space") / "space.yaml"
        file.write_text(SPACE.format(task=json.dumps(own)), encoding="utf-8")
        made[kind] = task_of(load_spec(file), f"own_{kind}")
    return lambda kind: made[kind]


@settings(
    max_examples=MANY or 1_610,
    deadline=None,
    derandomize=not MANY,
    database=None,
    phases=(Phase.generate, Phase.shrink) if MANY else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(case=cases())
def test_rows_or_an_error_that_says_what_is_wrong(
    folder: Path, tasks: Callable[[str], Task], case: tuple[str, str, bytes]
) -> None:
    kind, name, content = case
    for path in folder.iterdir():
        path.unlink()
    (folder / name).write_bytes(content)
    began = time.process_time()
    for work in (
        lambda: tasks(kind).load("train", DataSettings()),
        lambda: guess_task({"train": FolderReader(folder=folder).read("train")}),
    ):
        assert all(message.strip() for message in refusal(work))
    assert time.process_time() - began < LONGEST_S


WIDE: dict[str, bytes] = {
    "train.csv": b",".join(b"c%d" % k for k in range(15_000)) + b"\n" + b"," * 14_999 + b"\n",
    "train.tsv": b"\t".join(b"%d" % k for k in range(18_000)) + b"\n" + b"\t" * 17_999 + b"\n",
    "train.jsonl": as_json({f"k{k}": 1 for k in range(9_000)}).encode(),
    "train.json": as_json([dict.fromkeys(map(str, range(4_000)), "x")] * 2).encode(),
    "train.parquet": parquet([{f"{k}": 1 for k in range(1_000)}]),
    "twice.jsonl": ("{" + ", ".join(f'"k{k}": 1' for k in [*range(9_000), 0]) + "}").encode(),
    "others.jsonl": "\n".join(as_json({f"k{k}": 1}) for k in range(8_000)).encode(),
}
"""Files of some 100 kB with thousands of columns."""


@pytest.mark.parametrize("name", WIDE)
def test_many_columns_take_no_time(tmp_path: Path, name: str) -> None:
    (tmp_path / f"train.{name.partition('.')[2]}").write_bytes(WIDE[name])
    began = time.process_time()
    read = FolderReader(folder=tmp_path).read
    (message,) = refusal(lambda: guess_task({"train": read("train")}))
    assert ("different keys" if name.startswith("others") else "seems to be a label") in message
    assert time.process_time() - began < LONGEST_S


def refusal(work: Callable[[], object]) -> list[str]:
    """What an error of raykd says; nothing where there is none."""
    try:
        work()
    except RaykdError as exc:
        return [problem.message for problem in exc.problems()]
    return []
