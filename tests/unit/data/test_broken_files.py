"""Whatever is in a file, it is read or refused in words: nothing else escapes."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.data.base import DataSettings
from raykd.data.own import OwnTask
from raykd.data.rationales import from_file
from raykd.errors import DataError

PIECES = [
    b'"', b"'", b",", b";", b"\t", b"\n", b"\r", b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"{",
    b"}", b"[", b"]", b":", b"null", b"NaN", b"1e999", b"-1", b"true", b"\\ud800", b"\xe2\x80\xa8",
    b"text", b"label", b'"text"', b'"label"', b"neg", b"0.0", b"[[[[", b"1" * 5000, b"sep=;", b"\\",
]  # fmt: skip


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b", "c"], "label": [0, 1, None]}), file)
    return file.getvalue()


WHOLE = {
    ".csv": b"text,label\na,neg\nb,pos\n",
    ".tsv": b"text\tlabel\na\tneg\nb\tpos\n",
    ".jsonl": b'{"text": "a", "label": "neg"}\n{"text": "b", "label": 1}\n',
    ".json": b'[{"text": "a", "label": "neg"},\n {"text": "b", "label": "pos"}]',
    ".txt": b"a\nb\n",
    ".csv.gz": gzip.compress(b"text,label\na,neg\nb,pos\n"),
    ".parquet": parquet(),
}
TASKS = [
    {"labels": ("neg", "pos")},
    {"labels": ("1", "0")},
    {"labels": ("True", "False")},
    {"labels": (), "kind": "regression", "metric": "pearson", "metrics": ("pearson",)},
]


def changed(whole: bytes, rng: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.randint(1, 6)):
        begin = rng.randint(0, len(data))
        data[begin : begin + rng.choice([0, 0, 1, 2, 5, 20])] = rng.choice(PIECES)
    return bytes(data)


@pytest.mark.parametrize("suffix", WHOLE)
def test_a_file_with_anything_in_it_is_read_or_refused(tmp_path, suffix):
    rng = random.Random(suffix)
    path = tmp_path / f"train{suffix}"
    for _ in range(60):
        path.write_bytes(changed(WHOLE[suffix], rng))
        task = OwnTask(**{
            "name": "mine", "about": "A test.", "texts": ("text",), "metric": "accuracy",
            "metrics": ("accuracy",), "hub": ("", ""), "hub_splits": {}, "path": str(tmp_path),
            **rng.choice(TASKS),
        })  # fmt: skip
        message = said_of(lambda task=task: task.load("train", DataSettings()))
        assert message == "" or str(path) in message
        if suffix.startswith(".json"):
            message = said_of(lambda: from_file(path, "train"))
            assert message == "" or str(path) in message


def said_of(work: Callable[[], object]) -> str:
    """The message of what is refused; empty where it is read."""
    try:
        work()
    except DataError as exc:
        return str(exc)
    return ""
