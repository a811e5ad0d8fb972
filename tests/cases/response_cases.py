"""Instructions and responses, as they come for a task that is answered in text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tests.cases.data_case import Refused, parquet_of, refused

ROW = {"instruction": "Name a river.", "context": "", "response": "The Rhine."}
ALPACA = {"instruction": "Name a river.", "input": "In Europe.", "output": "The Rhine."}


def rows(*changes: Mapping[str, Any], of: Mapping[str, Any] = ROW) -> list[dict[str, Any]]:
    return [{**of, **change} for change in changes]


def lines(*changes: Mapping[str, Any], of: Mapping[str, Any] = ROW) -> str:
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows(*changes, of=of))


def table(*changes: Mapping[str, Any]) -> bytes:
    return parquet_of(pa.Table.from_pylist(rows(*changes)))


RAW = [{"output": f"Answer {k}."} for k in range(20)]
MARKED = [*RAW[:5], {"output": "one\u2028two\x85three"}, *RAW[6:]]
NAN = float("nan")

RESPONSES: dict[str, tuple[str, str | bytes, Sequence[str] | Refused]] = {
    "a file of lines for each split": ("train.jsonl", lines({}, {}), ["The Rhine."] * 2),
    "csv": ("train.csv", "instruction,response\nName a river.,The Rhine.\n", ["The Rhine."]),
    "messages": (
        "train.jsonl", json.dumps({"messages": [{"role": "user", "content": "Hi"}]}),
        refused(r"no column 'instruction' \(columns: messages\)"),
    ),
    "an empty response": (
        "train.parquet", table({}, {"response": ""}, {"response": " \n"}),
        refused(r"2 rows have an empty response, first: .*train\.parquet row 2"),
    ),
    "a context that is null": ("train.parquet", table({"context": None}, {}), ["The Rhine."] * 2),
    "a context that is not a number": ("train.parquet", table({"context": NAN}), ["The Rhine."]),
    "a context that is a list": (
        "train.parquet", table({"context": ["a"]}, {"context": ["b"]}),
        refused(r"2 rows have no text in column 'context', first: .*row 1: .* the list \['a'\]"),
    ),
    "a response that is a number": (
        "train.parquet", table({"response": 0}, {"response": 5}),
        refused("2 rows have no response in words, first: .*row 1: column 'response' holds 0"),
    ),
    "a response that is a mapping": (
        "train.parquet", table({"response": {"text": "The Rhine.", "source": "api"}}),
        refused("row 1: column 'response' holds the mapping", "make one field a column"),
    ),
    "a response that is not there": (
        "train.jsonl", lines({}, {"response": None}, {"response": []}, {"response": NAN}),
        refused("3 rows have no response in words, first: .*line 2: .*'response' holds nothing"),
    ),
    "lists of accepted responses": (
        "train.jsonl", lines({"response": ["The Rhine.", "Rhine."]}, {}), ["The Rhine."] * 2,
    ),
    "special tokens as text": (
        "train.jsonl", lines({"response": "A <|endoftext|> \U0001f44d\u200b"}),
        ["A <|endoftext|> \U0001f44d\u200b"],
    ),
    "one column of numbers among texts": (
        "train.jsonl", lines({}, {"response": 5}), refused("line 2: column 'response' holds 5"),
    ),
    # One file with everything: its first tenth is for validation.
    "raw": ("raw.jsonl", lines(*RAW, of=ALPACA), [r["output"] for r in RAW[2:]]),
    "raw with U+2028": (
        "raw.jsonl", lines(*MARKED, of=ALPACA), [r["output"] for r in MARKED[2:]]),
    "raw with a byte order mark": (
        "raw.jsonl", "\ufeff" + lines(*RAW, of=ALPACA), [r["output"] for r in RAW[2:]]),
    "raw with CRLF": (
        "raw.jsonl", lines(*RAW, of=ALPACA).replace("\n", "\r\n"),
        [r["output"] for r in RAW[2:]]),
    "raw as an array": (
        "raw.jsonl", json.dumps(rows(*RAW, of=ALPACA), indent=2), [r["output"] for r in RAW[2:]]),
    "raw with objects over lines": (
        "raw.jsonl", "\n".join(json.dumps(r, indent=1) for r in rows(*RAW, of=ALPACA)),
        [r["output"] for r in RAW[2:]]),
    "raw with a number": (
        "raw.jsonl", lines(*RAW[:10], {"output": 5}, *RAW[11:], of=ALPACA),
        refused(r"raw\.jsonl line 11: column 'output' holds 5, expected a text or a list"),
    ),
    "raw with lists": (
        "raw.jsonl", lines(*RAW[:4], {"output": ["One.", "1"], "input": None}, *RAW[5:], of=ALPACA),
        [*[r["output"] for r in RAW[2:4]], "One.", *[r["output"] for r in RAW[5:]]],
    ),
}  # fmt: skip
