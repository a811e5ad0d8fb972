"""What is written in a format is read back the same, whatever characters texts hold."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raykd.data.base import DataSettings
from raykd.data.conversations import ROLES, Turn, conversations
from raykd.data.folder import READERS
from raykd.data.own import OwnTask
from raykd.data.table import Table

Rows = Sequence[tuple[str, str]]
NAMES = ("no", "yes", "so; so")
# Every character but halves of others; the odd ones of files are drawn more often.
ODD = st.sampled_from(["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\ufeff", '"', '""', "'", ",",
                       ";", "\\", "\r\n", "\n", "\r", "\t", "\x1c", "\x00", "\u00a0", "[", "{",
                       "null", "NaN", " ", "\U0001f600"])  # fmt: skip
TEXT = st.lists(st.one_of(ODD, st.text(max_size=5)), max_size=6).map("".join)
LINE = TEXT.map(lambda text: "".join(c for c in text if c not in "\t\r\n"))
LABEL = st.sampled_from(NAMES)


def as_csv(rows: Rows, end: str = "\n", mark: str = ",") -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=end, delimiter=mark, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    return file.getvalue().encode()


def as_tsv(rows: Rows) -> bytes:
    return "\n".join(["text\tlabel", *(f"{text}\t{label}" for text, label in rows)]).encode()


def as_json(rows: Rows) -> list[dict[str, str]]:
    return [{"text": text, "label": label} for text, label in rows]


def as_lines(rows: Rows, end: str = "\n") -> bytes:
    return end.join(json.dumps(row, ensure_ascii=False) for row in as_json(rows)).encode()


def as_parquet(rows: Rows) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(as_json(rows)), file)
    return file.getvalue()


BOM = b"\xef\xbb\xbf"
WRITERS: dict[str, tuple[str, Callable[[Rows], bytes]]] = {
    "csv": (".csv", as_csv),
    "csv of Windows": (".csv", lambda rows: BOM + as_csv(rows, "\r\n")),
    "csv of a spreadsheet": (".csv", lambda rows: as_csv(rows, "\r\n", ";")),
    "csv, packed": (".csv.gz", lambda rows: gzip.compress(as_csv(rows))),
    "tsv": (".tsv", as_tsv),
    "tsv with a mark": (".tsv", lambda rows: BOM + as_tsv(rows)),
    "jsonl": (".jsonl", as_lines),
    "jsonl of Windows": (".jsonl", lambda rows: BOM + as_lines(rows, "\r\n")),
    "jsonl, packed": (".jsonl.gz", lambda rows: gzip.compress(as_lines(rows))),
    "json": (".json", lambda rows: json.dumps(as_json(rows), ensure_ascii=False).encode()),
    "json, indented": (".json", lambda rows: json.dumps(as_json(rows), indent=2).encode()),
    "parquet": (".parquet", as_parquet),
}
QUICK = settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)


def read(folder: Path, suffix: str, data: bytes) -> list[tuple[str, str]]:
    file = folder / f"train{suffix}"
    file.write_bytes(data)
    task = OwnTask(
        name="mine", about="", texts=("text",), labels=NAMES, metric="accuracy",
        metrics=("accuracy",), hub=("", ""), hub_splits={}, path={"train": str(file)},
    )  # fmt: skip
    rows = task.load("train", DataSettings())
    return list(zip(rows.texts[0], (NAMES[k] for k in rows.labels), strict=True))


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
@QUICK
def test_what_is_written_is_read_back(tmp_path_factory, name, data):
    suffix, write = WRITERS[name]
    # A field of a TSV file cannot hold what ends it.
    texts = LINE if suffix == ".tsv" else TEXT
    rows = data.draw(st.lists(st.tuples(texts, LABEL), min_size=1, max_size=6))
    assert read(tmp_path_factory.mktemp("data"), suffix, write(rows)) == rows


def test_every_kind_of_file_is_written_here():
    suffixes = {suffix.removesuffix(".gz") for suffix, _ in WRITERS.values()}
    assert suffixes == set(READERS) - {".txt", ".ndjson"}


TURN = st.builds(Turn, role=st.sampled_from(ROLES[1:]), content=TEXT.filter(str.strip))


@given(turns=st.lists(TURN, max_size=4), first=TEXT.filter(str.strip), last=TEXT.filter(str.strip))
@QUICK
def test_conversations_are_read_back_nested_and_as_json(turns, first, last):
    whole = (
        Turn(role="user", content=first), *turns, Turn(role="assistant", content=last)
    )  # fmt: skip
    nested = [{"role": turn.role, "content": turn.content} for turn in whole]
    share = [{"from": turn["role"], "value": turn["content"]} for turn in nested]
    for value in (nested, json.dumps(nested), json.dumps(share, ensure_ascii=False)):
        table = Table(columns={"m": [value]}, origin="rows")
        assert conversations(table, "m") == [whole]
