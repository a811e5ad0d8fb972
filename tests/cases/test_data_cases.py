"""Files as people bring them: each is read with the right classes and texts, or refused in words.

A case is a folder of small files and an entry of ``tasks`` of a search space, which are read as a
sweep reads them.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.data.base import DataSettings, Rows
from raykd.data.tasks.dolly import TASK as DOLLY
from raykd.errors import DataError, RaykdError, SpecError
from raykd.spec.load import load_spec
from raykd.sweep.tasks import task_of

SPACE = """
name: case
tasks: [{task}]
teacher: {{model: {{family: bert, layers: 2, hidden: 32, heads: 2, vocabulary: 400}}}}
student: {{model: {{family: bert, layers: 1, hidden: 16, heads: 2, vocabulary: 400}}}}
train: {{epochs: 1}}
methods: {{none: {{}}}}
search: {{trials: 1}}
"""
NEG_POS = [("the film was cold", "neg"), ("the film was warm", "pos")]


@dataclass(frozen=True)
class Read:
    """The rows as they must be.

    Attributes:
        labels: Class ids or scores.
        texts: The first texts; those of `NEG_POS` where nothing is said.
    """

    labels: Sequence[float]
    texts: Sequence[str] = tuple(text for text, _ in NEG_POS)


@dataclass(frozen=True)
class Refused:
    """What the message must say.

    Attributes:
        parts: Regular expressions, all of them found in message and hint.
        error: What is raised.
    """

    parts: tuple[str, ...]
    error: type[RaykdError] = DataError


@dataclass(frozen=True, kw_only=True)
class Case:
    """A folder and a task.

    Attributes:
        outcome: Of reading the split.
        files: Contents by name, in the folder ``data``.
        task: What differs from a task with one text and the labels neg and pos.
        split: The split that is read.
    """

    outcome: Read | Refused
    files: Mapping[str, str | bytes]
    task: Mapping[str, Any] = field(default_factory=dict)
    split: str = "train"


def refused(*parts: str, error: type[RaykdError] = DataError) -> Refused:
    return Refused(parts, error)


def csv(rows: Sequence[tuple[Any, Any]] = NEG_POS, header: str = "text,label") -> str:
    return "".join(f"{line}\n" for line in [header, *(f"{text},{label}" for text, label in rows)])


def jsonl(rows: Sequence[tuple[Any, Any]] = NEG_POS) -> str:
    lines = [json.dumps({"text": t, "label": label}, ensure_ascii=False) for t, label in rows]
    return "".join(f"{line}\n" for line in lines)


def parquet(rows: Sequence[tuple[Any, Any]] = NEG_POS, label: pa.DataType | None = None) -> bytes:
    columns = {"text": [t for t, _ in rows], "label": pa.array([y for _, y in rows], label)}
    return parquet_of(pa.table(columns))


def parquet_of(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def labelled(*labels: Any) -> list[tuple[str, Any]]:
    return [(f"text {k}", label) for k, label in enumerate(labels)]


def classes(*ids: float) -> Read:
    return Read(ids, [f"text {k}" for k in range(len(ids))])


LONG = "word " * 40_000
ONE_TWO = {"labels": ["1", "2"]}
TRUE_FALSE = {"labels": ["True", "False"]}
INTENTS = [f"intent_{k}" for k in range(150)]
SCORES = {"kind": "regression", "labels": [], "span": [0, 5]}
TWO_TEXTS = parquet_of(pa.Table.from_arrays([["a"], ["b"], ["neg"]], ["text", "text", "label"]))

CASES = {
    "00 csv": Case(files={"train.csv": csv()}, outcome=Read([0, 1])),
    "01 U+2028 in jsonl": Case(
        files={"train.jsonl": jsonl([("one\u2028two\u2029\x85three\x0b\x0c\x1c\x1d\x1e", "pos")])},
        outcome=Read([1], ["one\u2028two\u2029\x85three\x0b\x0c\x1c\x1d\x1e"]),
    ),
    "01 U+2028 in csv": Case(
        files={"train.csv": csv([("one\u2028two\x85three\x0c", "pos")])},
        outcome=Read([1], ["one\u2028two\x85three\x0c"]),
    ),
    "01 U+2028 in tsv": Case(
        files={"train.tsv": "text\tlabel\none\u2028two\x85three\x0c\x1e\tpos\n"},
        outcome=Read([1], ["one\u2028two\x85three\x0c\x1e"]),
    ),
    "02 byte order mark in jsonl": Case(
        files={"train.jsonl": "\ufeff" + jsonl()}, outcome=Read([0, 1])
    ),
    "02 byte order marks of files that were joined": Case(
        files={"train.jsonl": ("\ufeff" + jsonl()) * 2},
        outcome=Read([0, 1, 0, 1], [text for text, _ in NEG_POS] * 2),
    ),
    "02 byte order mark in json": Case(
        files={"train.json": "\ufeff" + json.dumps([{"text": "a", "label": "pos"}])},
        outcome=Read([1], ["a"]),
    ),
    "02 byte order mark in tsv": Case(
        files={"train.tsv": "\ufefftext\tlabel\na\tpos\n"}, outcome=Read([1], ["a"])
    ),
    "03 byte order mark and CRLF in csv": Case(
        files={"train.csv": "\ufeff" + csv().replace("\n", "\r\n")}, outcome=Read([0, 1])
    ),
    "03 CRLF in tsv and jsonl": Case(
        files={"train.tsv": "text\tlabel\r\na\tpos\r\n"}, outcome=Read([1], ["a"])
    ),
    "03 CRLF in jsonl": Case(
        files={"train.jsonl": jsonl().replace("\n", "\r\n")}, outcome=Read([0, 1])
    ),
    "03 carriage returns only": Case(
        files={"train.csv": csv().replace("\n", "\r")}, outcome=Read([0, 1])
    ),
    "03 a carriage return within a text of a tsv": Case(
        files={"train.tsv": "text\tlabel\na\rb\tpos\n"}, outcome=Read([1], ["a\rb"])
    ),
    "04 labels from 1 in csv": Case(
        files={"train.csv": csv(labelled(1, 2, 1))}, task=ONE_TWO, outcome=classes(0, 1, 0)
    ),
    "05 labels from 1 in jsonl": Case(
        files={"train.jsonl": jsonl(labelled(1, 2, 1))}, task=ONE_TWO, outcome=classes(0, 1, 0)
    ),
    "05 labels from 1 in parquet": Case(
        files={"train.parquet": parquet(labelled(1, 2, 1))}, task=ONE_TWO, outcome=classes(0, 1, 0)
    ),
    "05 labels from 1 as floats": Case(
        files={"train.parquet": parquet(labelled(1.0, 2.0))}, task=ONE_TWO, outcome=classes(0, 1)
    ),
    "06 numbers as labels in YAML": Case(
        files={"train.csv": csv()}, task={"labels": [1, 2]},
        outcome=refused("labels", error=SpecError),
    ),
    "07 labels 0 and 4": Case(
        files={"train.csv": csv(labelled(0, 4))}, task={"labels": ["0", "4"]},
        outcome=classes(0, 1),
    ),
    "07 labels 0 and 4 in jsonl": Case(
        files={"train.jsonl": jsonl(labelled(0, 4))}, task={"labels": ["0", "4"]},
        outcome=classes(0, 1),
    ),
    "07 labels in another order than their numbers": Case(
        files={"train.jsonl": jsonl(labelled(0, 1, 2))}, task={"labels": ["2", "1", "0"]},
        outcome=classes(2, 1, 0),
    ),
    "08 AG News": Case(
        files={"train.parquet": parquet(labelled(1, 4, 2, 3))},
        task={"labels": ["1", "2", "3", "4"]}, outcome=classes(0, 3, 1, 2),
    ),
    "09 labels -1 and 1 in jsonl": Case(
        files={"train.jsonl": jsonl(labelled(-1, 1))}, task={"labels": ["-1", "1"]},
        outcome=classes(0, 1),
    ),
    "09 labels -1 and 1 in csv": Case(
        files={"train.csv": csv(labelled(-1, 1))}, task={"labels": ["-1", "1"]},
        outcome=classes(0, 1),
    ),
    "10 a stray 0 among stars": Case(
        files={"train.csv": csv(labelled(1, 0, 3))}, task={"labels": ["1", "2", "3"]},
        outcome=refused(r"train\.csv line 3: column 'label' holds '0', expected one of 1, 2, 3",
                        "names that are numbers are no ids"),
    ),
    "11 floats as ids in csv": Case(
        files={"train.csv": csv(labelled("0.0", "1.0"))}, outcome=classes(0, 1)
    ),
    "11 floats after a missing label": Case(
        files={"train.csv": csv(labelled("0.0", "", "1.0"))},
        outcome=refused(r"train\.csv line 3: has no label \(column 'label' is empty\)"),
    ),
    "12 a blank after the label": Case(
        files={"train.csv": csv(labelled("neg ", "pos"))},
        outcome=refused("line 2: column 'label' holds 'neg '", "differs from 'neg' in case or"),
    ),
    "13 labels in another case": Case(
        files={"train.csv": csv(labelled("Neg", "Pos", "Pos"))},
        outcome=refused("3 values of column 'label' are no class", "'Pos' 2 times",
                        "differs from 'neg' in case or blanks only"),
    ),
    "14 truth values in csv": Case(
        files={"train.csv": csv(labelled("False", "True"))}, task={"labels": ["False", "True"]},
        outcome=classes(0, 1),
    ),
    "15 truth values in jsonl, small letters": Case(
        files={"train.jsonl": jsonl(labelled(True, False))}, task={"labels": ["true", "false"]},
        outcome=classes(0, 1),
    ),
    "15 truth values of Python against small letters": Case(
        files={"train.csv": csv(labelled("True", "False"))}, task={"labels": ["true", "false"]},
        outcome=classes(0, 1),
    ),
    "16 a label that is not declared": Case(
        files={"train.csv": csv(labelled("neg", "other", "misc", "other"))},
        outcome=refused("3 values of column 'label'", r"line 3: .*'other', expected one of neg, pos",
                        "'other' 2 times, 'misc' 1 times", "add 'other', 'misc' to labels of task"),
    ),
    "20 a text of 200,000 characters in csv": Case(
        files={"train.csv": csv([(LONG, "pos")])}, outcome=Read([1], [LONG])
    ),
    "20 a text of 200,000 characters in tsv": Case(
        files={"train.tsv": f"text\tlabel\n{LONG}\tpos\n"}, outcome=Read([1], [LONG])
    ),
    "21 a NUL byte": Case(
        files={"train.csv": csv([("a\0b", "pos")])}, outcome=Read([1], ["a\0b"])
    ),
    "22 semicolons": Case(
        files={"train.csv": "text;label\na, b;neg\nc;pos\n"}, outcome=Read([0, 1], ["a, b", "c"])
    ),
    "22 tabs in csv": Case(
        files={"train.csv": "text\tlabel\na\tneg\n"}, outcome=Read([0], ["a"])
    ),
    "22 a spreadsheet that declares its separator": Case(
        files={"train.csv": "sep=;\ntext;label\na;neg\nb,x;pos\n"},
        outcome=Read([0, 1], ["a", "b,x"]),
    ),
    "22 commas in tsv": Case(
        files={"train.tsv": csv()}, outcome=refused("no column 'text'", "only one column was found")
    ),
    "23 two columns of a name in csv": Case(
        files={"train.csv": "text,text,label\na,b,neg\n"},
        outcome=refused(r"train\.csv has more than one column 'text'", "rename or remove one"),
    ),
    "23 two columns of a name in tsv": Case(
        files={"train.tsv": "text\ttext\tlabel\na\tb\tneg\n"},
        outcome=refused("more than one column 'text'"),
    ),
    "23 two columns of a name in jsonl": Case(
        files={"train.jsonl": '{"text": "a", "text": "b", "label": "neg"}\n'},
        outcome=refused("more than one column 'text'"),
    ),
    "23 two columns of a name in parquet": Case(
        files={"train.parquet": TWO_TEXTS}, outcome=refused("more than one column 'text'")
    ),
    "23 two columns of a name that is not read": Case(
        files={"train.csv": "text,x,x,label\na,1,2,neg\n"}, outcome=Read([0], ["a"])
    ),
    "24 an empty label": Case(
        files={"train.csv": csv([*NEG_POS, ("a", ""), ("b", "")])},
        outcome=refused(r"2 rows have no label, first: data/train\.csv line 4: has no label"),
    ),
    "25 a quote that is not closed": Case(
        files={"train.csv": csv([('he said "hi', "pos"), ('"never closed', "neg"), ("a", "pos")])},
        outcome=refused(r"train\.csv line 3: a text that begins with a quote", "twice"),
    ),
    "25 a quote that is closed rows later": Case(
        files={"train.csv": csv([('"open', "pos"), ("a", "pos"), ('"closed', "neg")])},
        outcome=refused(r"train\.csv line 2: a text that begins with a quote"),
    ),
    "25 quotes as they should be": Case(
        files={"train.csv": csv([('"he said ""hi"", twice\nand left"', "pos"), ("b", "neg")])},
        outcome=Read([1, 0], ['he said "hi", twice\nand left', "b"]),
    ),
    "26 quotes in tsv": Case(
        files={"train.tsv": 'text\tlabel\n"never closed\tneg\nhe said "hi\tpos\n'},
        outcome=Read([0, 1], ['"never closed', 'he said "hi']),
    ),
    "27 latin-1": Case(
        files={"train.csv": csv([*NEG_POS, ("caf\xe9", "pos"), ("\xfcber", "neg")]).encode("latin-1")},
        outcome=refused(r"2 lines are not UTF-8, first: data/train\.csv line 4: the byte 0xe9",
                        "save the file as UTF-8"),
    ),
    "28 UTF-16": Case(
        files={"train.csv": csv().encode("utf-16")},
        outcome=refused(r"train\.csv is not UTF-8 but UTF-16", "save the file as UTF-8"),
    ),
    "28 UTF-16 without a mark": Case(
        files={"train.jsonl": jsonl().encode("utf-16-le")}, outcome=refused("UTF-16")
    ),
    "29 a header and no rows": Case(
        files={"train.csv": "text,label\n"}, outcome=refused(r"train\.csv has no rows")
    ),
    "29 an empty file": Case(
        files={"train.jsonl": ""}, outcome=refused(r"train\.jsonl has no rows")
    ),
    "29 an empty Parquet file": Case(
        files={"train.parquet": parquet([])}, outcome=refused(r"train\.parquet has no rows")
    ),
    "30 one row": Case(files={"train.csv": csv(NEG_POS[:1])}, outcome=Read([0], [NEG_POS[0][0]])),
    "32 a class without rows": Case(
        files={"train.csv": csv(NEG_POS[1:])}, outcome=Read([1], [NEG_POS[1][0]])
    ),
    "33 a class without rows anywhere": Case(
        files={"train.csv": csv()}, task={"labels": ["neg", "pos", "neutral"]}, outcome=Read([0, 1])
    ),
    "34 half of a character": Case(
        files={"train.jsonl": '{"text": "a\\ud83db \\ud83d\\ude00", "label": "pos"}\n'},
        outcome=Read([1], ["a\ufffdb \U0001f600"]),
    ),
    "35 emoji and scripts": Case(
        files={"train.csv": csv([("\u5f88\u597d\u7684 \U0001f970 \u0645\u0631\u062d\u0628\u0627", "pos")])},
        outcome=Read([1], ["\u5f88\u597d\u7684 \U0001f970 \u0645\u0631\u062d\u0628\u0627"]),
    ),
    "36 an array of JSON": Case(
        files={"train.json": json.dumps([{"text": t, "label": y} for t, y in NEG_POS], indent=2)},
        outcome=Read([0, 1]),
    ),
    "36 an array in a file of lines": Case(
        files={"train.jsonl": json.dumps([{"text": t, "label": y} for t, y in NEG_POS])},
        outcome=Read([0, 1]),
    ),
    "36 objects over several lines": Case(
        files={"train.json": "\n".join(
            json.dumps({"text": t, "label": y}, indent=1) for t, y in NEG_POS)},
        outcome=Read([0, 1]),
    ),
    "36 lines in .json and .ndjson": Case(files={"train.json": jsonl()}, outcome=Read([0, 1])),
    "36 ndjson": Case(files={"train.ndjson": jsonl()}, outcome=Read([0, 1])),
    "36 an array with an error": Case(
        files={"train.json": '[{"text": "a", "label": "neg"},\n {"text": }]'},
        outcome=refused(r"train\.json line 2: no JSON: Expecting value \(column 11\)"),
    ),
    "37 gzip": Case(
        files={"train.csv.gz": gzip.compress(csv().encode())}, outcome=Read([0, 1])
    ),
    "37 gzip of jsonl with another case": Case(
        files={"train.JSONL.GZ": gzip.compress(jsonl().encode())}, outcome=Read([0, 1])
    ),
    "37 gzip that is cut off": Case(
        files={"train.csv.gz": gzip.compress(csv().encode())[:-12]},
        outcome=refused(r"train\.csv\.gz cannot be read"),
    ),
    "38 a suffix in large letters": Case(files={"train.CSV": csv()}, outcome=Read([0, 1])),
    "39 splits with other names": Case(
        files={"train.csv": csv(), "dev.csv": csv(NEG_POS[1:])},
        task={"splits": {"validation": "dev"}}, split="validation",
        outcome=Read([1], [NEG_POS[1][0]]),
    ),
    "39 a split that is not there": Case(
        files={"train.csv": csv(), "dev.xlsx": b"x"}, split="validation",
        outcome=refused(r"no split 'validation' \(splits: train\)", r"validation\.\* \(\.parquet",
                        r"the folder holds dev\.xlsx, train\.csv"),
    ),
    "40 the path is a file": Case(
        files={"train.csv": csv()}, task={"path": "data/train.csv"},
        outcome=refused(r"'data/train\.csv' of task own is a file, not a folder", "path: data$"),
    ),
    "40 the path is not there": Case(
        files={"train.csv": csv()}, task={"path": "dta"},
        outcome=refused("the folder 'dta' of task own does not exist"),
    ),
    "41 columns in another case": Case(
        files={"train.csv": csv(header="Text,Label")},
        outcome=refused(r"train\.csv has no column 'text' \(columns: Text, Label\)",
                        "rename the column 'Text' to 'text', or write it so in texts of task 'own'"),
    ),
    "41 no such column": Case(
        files={"train.csv": csv(header="body,label")},
        outcome=refused("no column 'text'", "name one of these columns in texts of task 'own'"),
    ),
    "43 texts is a text": Case(
        files={"train.csv": csv()}, task={"texts": "text"}, outcome=refused("texts", error=SpecError)
    ),
    "44 three texts": Case(
        files={"train.csv": csv()}, task={"texts": ["a", "b", "c"]},
        outcome=refused("texts", error=SpecError),
    ),
    "45 a number as name": Case(
        files={"train.csv": csv()}, task={"name": "1"}, outcome=Read([0, 1])
    ),
    "46 no text": Case(
        files={"train.jsonl": jsonl([*NEG_POS, (None, "pos")]) + '{"label": "neg"}\n'},
        outcome=refused(r"2 rows have no text in column 'text', first: data/train\.jsonl line 3: "
                        "column 'text' holds nothing, expected a text"),
    ),
    "47 a label that pandas lost": Case(
        files={"train.parquet": parquet(labelled(0.0, 1.0, None))},
        outcome=refused(r"train\.parquet row 3: has no label \(column 'label' is empty\)"),
    ),
    "47 floats of pandas": Case(
        files={"train.parquet": parquet(labelled(0.0, 1.0))}, outcome=classes(0, 1)
    ),
    "48 categories of pandas": Case(
        files={"train.parquet": parquet(NEG_POS, pa.dictionary(pa.int8(), pa.string()))},
        outcome=Read([0, 1]),
    ),
    "49 a number as text": Case(
        files={"train.jsonl": jsonl([*NEG_POS, (12345, "pos")])},
        outcome=refused(r"train\.jsonl line 3: column 'text' holds 12345, expected a text", "quotes"),
    ),
    "49 lists and mappings as text": Case(
        files={"train.jsonl": jsonl([(["a", "b"], "pos"), ({"en": "a"}, "pos")])},
        outcome=refused("2 rows have no text", r"holds the list \['a', 'b'\]", "join the words"),
    ),
    "49 a mapping as text": Case(
        files={"train.jsonl": jsonl([({"en": "a"}, "pos")])},
        outcome=refused(r"the mapping \{'en': 'a'\}", "make the field that holds the text \\(en\\)"),
    ),
    "103 several labels a row": Case(
        files={"train.jsonl": jsonl([("a", ["neg", "pos"]), ("b", ["neg"])])},
        outcome=refused("2 values of column 'label'", "holds the list", "several labels a row"),
    ),
    "104 an empty span": Case(
        files={"train.csv": csv(labelled(0, 1))}, task={**SCORES, "span": [0, 0]},
        outcome=refused(r"0 to 0|\[0, 0\]", "span", error=RaykdError),
    ),
    "104 scores": Case(
        files={"train.csv": csv(labelled(0, "2.5", " 5"))}, task=SCORES, outcome=classes(0, 2.5, 5)
    ),
    "104 decimal commas": Case(
        files={"train.csv": "text;label\na;0,5\nb;1,5\n"}, task=SCORES,
        outcome=refused(r"2 rows have no number .*line 2: column 'label' holds '0,5', expected a "
                        "number from 0 to 5", "decimal point"),
    ),
    "104 digits with an underscore": Case(
        files={"train.csv": csv(labelled(0, "1_0"))}, task={**SCORES, "span": [0, 10]},
        outcome=refused("line 3: column 'label' holds '1_0', expected a number"),
    ),
    "104 scores outside of the span": Case(
        files={"train.csv": csv(labelled(0, 9, 7))}, task=SCORES,
        outcome=refused(r"2 rows have a score out of range, first: data/train\.csv line 3: column "
                        "'label' holds '9'", r"goes over \[0, 9\]: set span of task 'own'"),
    ),
    "104 no score": Case(
        files={"train.jsonl": jsonl(labelled(1, None))}, task=SCORES,
        outcome=refused("line 2: has no score"),
    ),
    "106 150 intents": Case(
        files={"train.csv": csv(labelled(*INTENTS))}, task={"labels": INTENTS},
        outcome=classes(*range(150)),
    ),
    **{
        f"110 the same values in {name}": Case(
            files={name: content}, task=TRUE_FALSE, outcome=classes(0, 1, 0)
        )
        for name, content in {
            "train.csv": csv(labelled(True, False, True)),
            "train.tsv": csv(labelled(True, False, True)).replace(",", "\t"),
            "train.jsonl": jsonl(labelled(True, False, True)),
            "train.parquet": parquet(labelled(True, False, True)),
        }.items()
    },
    "111 JSON with an error": Case(
        files={"train.jsonl": '{"text": "a", "label": "neg"}\n{"text": "b"\n{"text": }\n'},
        outcome=refused(r"2 lines are no JSON, first: data/train\.jsonl line 2: no JSON: Expecting "
                        r"',' delimiter \(column 13\)"),
    ),
    "111 not as many fields": Case(
        files={"train.csv": "text,label\na,neg\nb, c,pos\nd\n"},
        outcome=refused("2 rows have not as many fields as the header, first: "
                        r"data/train\.csv line 3: has 3 fields, the header has 2"),
    ),
    "113 nested too deeply": Case(
        files={"train.jsonl": '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}\n"},
        outcome=refused(r"train\.jsonl line 1: no JSON: nested too deeply"),
    ),
    "113 a number of 5,000 digits": Case(
        files={"train.jsonl": '{"text": "a", "label": ' + "1" * 5_000 + "}\n"},
        outcome=refused(r"train\.jsonl line 1: no JSON: Exceeds the limit"),
    ),
    "113 a Parquet file with bytes that are no text": Case(
        files={"train.parquet": parquet_of(pa.table({
            "text": pa.array([b"\xff"], pa.binary()).view(pa.string()), "label": ["neg"]}))},
        outcome=refused(r"train\.parquet is not a readable Parquet file"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_its_outcome(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = CASES[name]
    fill(Path("data"), case.files)
    if isinstance(case.outcome, Refused):
        check_refused(case.outcome, lambda: read(case))
    else:
        rows = read(case)
        assert rows.labels.tolist() == list(case.outcome.labels)
        assert list(rows.texts[0]) == list(case.outcome.texts)


def fill(folder: Path, files: Mapping[str, str | bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)


def read(case: Case) -> Rows:
    own = {"name": "own", "path": "data", "texts": ["text"], "labels": ["neg", "pos"]}
    entry = {key: value for key, value in (own | case.task).items() if value != []}
    Path("space.yaml").write_text(SPACE.format(task=json.dumps(entry)), encoding="utf-8")
    spec = load_spec("space.yaml")
    return task_of(spec, spec.tasks[0]).load(case.split, DataSettings(root=spec.data.root))


def check_refused(wanted: Refused, work: Any) -> None:
    with pytest.raises(wanted.error) as caught:
        work()
    said = "\n".join(f"{problem.message}\n{problem.hint}" for problem in caught.value.problems())
    for part in wanted.parts:
        assert re.search(part, said, re.MULTILINE), f"{part!r} is not in: {said}"


# Instructions and responses, as they come for a task that is answered in text.

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
        refused("3 rows have no response in words, first: .*line 2: column 'response' holds nothing"),
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
        "raw.jsonl", lines(*RAW[:4], {"output": ["One.", "1."], "input": None}, *RAW[5:], of=ALPACA),
        [*[r["output"] for r in RAW[2:4]], "One.", *[r["output"] for r in RAW[5:]]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RESPONSES)
def test_responses_are_read_or_refused(name, tmp_path):
    file, content, wanted = RESPONSES[name]
    fill(tmp_path / "dolly", {file: content})
    settings = DataSettings(root=str(tmp_path))
    if isinstance(wanted, Refused):
        check_refused(wanted, lambda: DOLLY.load("train", settings))
    else:
        assert list(DOLLY.load("train", settings).texts[1]) == list(wanted)
