"""A folder of small files and what must come of reading it, as a sweep reads it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.data.base import DataSettings, Examples
from raykd.errors import DataError, RaykdError
from raykd.spec.load import load_spec
from raykd.task_setup.tasks import task_of

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
        texts: The first texts; those of `NEG_POS` by default.
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


def fill(folder: Path, files: Mapping[str, str | bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)


def read(case: Case) -> Examples:
    own = {"name": "own", "path": "data", "texts": ["text"], "labels": ["neg", "pos"]}
    entry = {key: value for key, value in (own | case.task).items() if value != []}
    Path("space.yaml").write_text(SPACE.format(task=json.dumps(entry)), encoding="utf-8")
    spec = load_spec("space.yaml")
    return task_of(spec, spec.tasks[0]).load(case.split, DataSettings(root=spec.data.root))


def check_refused(wanted: Refused, work: Callable[[], object]) -> None:
    with pytest.raises(wanted.error) as caught:
        work()
    message = "\n".join(f"{problem.message}\n{problem.hint}" for problem in caught.value.problems())
    for part in wanted.parts:
        assert re.search(part, message, re.MULTILINE), f"{part!r} is not in: {message}"
