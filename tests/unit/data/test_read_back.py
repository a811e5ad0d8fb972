"""What is written in a format is read back the same, whatever characters texts hold."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raykd.data.base import DataSettings
from raykd.data.conversations import ROLES, Turn, conversations
from raykd.data.folder_reader import READERS, FolderReader
from raykd.data.own import OwnTask
from raykd.data.own_sets import OwnSets
from raykd.data.own_tags import OwnTags
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
    "ndjson": (".ndjson", as_lines),
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


def as_table(folder: Path, suffix: str, data: bytes) -> Table:
    """A split as a folder of one file gives it."""
    (folder / f"train{suffix}").write_bytes(data)
    return FolderReader(folder=folder).read("train")


# A line of tagged words cannot hold what separates fields and lines, nor begin like a comment.
PLAIN_WORD = TEXT.map(lambda text: "".join(c for c in text if c not in " \t\r\n\x00\ufeff")).filter(
    lambda word: bool(word) and not word.startswith(("-DOCSTART-", "#"))
)
TAG = st.sampled_from(["O", "B-PER", "I-PER"])
SENTENCE = st.lists(st.tuples(PLAIN_WORD, TAG), min_size=1, max_size=4)


def as_tagged(rows: Sequence[Sequence[tuple[str, str]]], mark: str, end: str) -> bytes:
    lines = [[f"{word}{mark}NN{mark}{tag}" for word, tag in row] for row in rows]
    return (end * 2).join(end.join(of) for of in lines).encode()


TAGGED_WRITERS: dict[str, tuple[str, Callable[[Any], bytes]]] = {
    "conll with tabs": (".conll", lambda rows: as_tagged(rows, "\t", "\n")),
    "conll with blanks": (".conll", lambda rows: as_tagged(rows, " ", "\n") + b"\n\n"),
    "iob of Windows": (".iob", lambda rows: BOM + as_tagged(rows, "\t", "\r\n")),
    "bio, packed, documents": (
        ".bio.gz",
        lambda rows: gzip.compress(b"-DOCSTART- -X- O\n\n" + as_tagged(rows, " ", "\n")),
    ),
    "lists in jsonl": (".jsonl", lambda rows: as_lists(rows)),
    "lists as json in csv": (".csv", lambda rows: as_cells(rows)),
    "lists in parquet": (".parquet", lambda rows: as_columns(rows)),
}


def in_lists(rows: Sequence[Sequence[tuple[str, str]]]) -> list[dict[str, list[str]]]:
    return [{"tokens": [w for w, _ in row], "tags": [t for _, t in row]} for row in rows]


def as_lists(rows: Any) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in in_lists(rows)).encode()


def as_cells(rows: Any) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    cells = [[json.dumps(of) for of in row.values()] for row in in_lists(rows)]
    writer.writerows([("tokens", "tags"), *cells])
    return file.getvalue().encode()


def as_columns(rows: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(in_lists(rows)), file)
    return file.getvalue()


@pytest.mark.parametrize("name", TAGGED_WRITERS)
@given(rows=st.lists(SENTENCE, min_size=1, max_size=4))
@QUICK
def test_words_and_tags_are_read_back(tmp_path_factory, name, rows):
    suffix, write = TAGGED_WRITERS[name]
    table = as_table(tmp_path_factory.mktemp("data"), suffix, write(rows))
    task = OwnTags(
        name="mine", about="", metric="entity_f1", metrics=("entity_f1",), hub=("", ""),
        labels=("O", "B-PER", "I-PER"), words="tokens", tags="tags",
    )  # fmt: skip
    found = task.read_table(table.well_formed())
    words, tags = found.fields["words"], found.fields["tags"]
    names = [[task.labels[k] for k in row] for row in tags]
    assert [list(zip(*both, strict=True)) for both in zip(words, names, strict=True)] == rows


@given(rows=st.lists(LINE, min_size=1, max_size=6))
@QUICK
def test_lines_of_text_are_read_back(tmp_path_factory, rows):
    rows = ["some words", *(line.replace("\x00", "") for line in rows)]
    data = "".join(f"{line}\n" for line in rows).encode()
    assert as_table(tmp_path_factory.mktemp("data"), ".txt", data).columns == {"text": rows}


def test_every_kind_of_file_is_written_here():
    every = {**WRITERS, **TAGGED_WRITERS}
    suffixes = {suffix.removesuffix(".gz") for suffix, _ in every.values()}
    assert suffixes == set(READERS) - {".txt"}


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


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".json"])
@given(
    turns=st.lists(TURN, max_size=3),
    first=TEXT.filter(str.strip),
    last=TEXT.filter(str.strip),
    nested=st.booleans(),
)
@QUICK
def test_conversations_in_files_are_read_back(tmp_path_factory, suffix, turns, first, last, nested):
    whole = (Turn(role="user", content=first), *turns, Turn(role="assistant", content=last))
    messages = [{"role": turn.role, "content": turn.content} for turn in whole]
    row = {"m": messages if nested else json.dumps(messages, ensure_ascii=False)}
    file = io.BytesIO()
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([row, row]), file)
    else:
        rows = [row, row]
        text = json.dumps(rows) if suffix == ".json" else "\n".join(map(json.dumps, rows))
        file.write(text.encode())
    table = as_table(tmp_path_factory.mktemp("data"), suffix, file.getvalue())
    assert conversations(table.well_formed(), "m") == [whole, whole]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv"])
@given(rows=st.lists(st.sets(st.sampled_from(NAMES)), min_size=1, max_size=5))
@QUICK
def test_sets_of_classes_are_read_back(tmp_path_factory, suffix, rows):
    lists = [{"text": f"t{k}", "set": sorted(of)} for k, of in enumerate(rows)]
    file = io.BytesIO()
    if suffix == ".parquet":
        column = pa.array([row["set"] for row in lists], pa.list_(pa.string()))
        pq.write_table(pa.table({"text": [row["text"] for row in lists], "set": column}), file)
    elif suffix == ".jsonl":
        file.write("\n".join(map(json.dumps, lists)).encode())
    else:
        cells = io.StringIO(newline="")
        writer = csv.writer(cells)
        writer.writerows([("text", "set"), *((r["text"], json.dumps(r["set"])) for r in lists)])
        file.write(cells.getvalue().encode())
    table = as_table(tmp_path_factory.mktemp("data"), suffix, file.getvalue())
    task = OwnSets(
        name="mine", about="", metric="f1_micro", metrics=("f1_micro",), hub=("", ""),
        labels=NAMES, texts=("text",), label="set",
    )  # fmt: skip
    labels = task.read_table(table).labels
    assert [{NAMES[k] for k in range(3) if row[k]} for row in labels] == rows
