"""SQuAD 1.1 (Rajpurkar et al., 2016, https://arxiv.org/abs/1606.05250): answers are spans.

Read from Parquet files in the layout of the hub, or from the authors' JSON files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from raykd.data import columns
from raykd.data.answers import score_answers
from raykd.data.base import Array, Batch, Encoded, Rows
from raykd.data.files import FileTask
from raykd.data.spans import best_spans, encode_windows
from raykd.data.table import Reader, Table, no_split
from raykd.errors import DataError

FILES = {"train": "train-v1.1.json", "validation": "dev-v1.1.json"}


@dataclass(frozen=True, kw_only=True)
class SpanTask(FileTask):
    """Questions whose answer is a part of a context.

    Attributes:
        overlap: Tokens that neighbouring windows over a long context share.
        query_length: Most tokens of a question.
        n_best: Candidates for either end of an answer.
        longest: Most tokens of an answer.
    """

    kind: str = "span"
    labels: tuple[str, ...] = ("start", "end")
    overlap: int = 128
    query_length: int = 64
    n_best: int = 20
    longest: int = 30

    def read_table(self, table: Table) -> Rows:
        """One row per question; accepted answers and where they begin are fields."""
        questions = columns.texts(table, "question")
        contexts = columns.texts(table, "context")
        answers = [_answers(table, row, value) for row, value in enumerate(table.column("answers"))]
        for row, (question, context) in enumerate(zip(questions, contexts, strict=True)):
            if not question.strip() or not context.strip():
                what = "context" if question.strip() else "question"
                raise DataError(
                    f"{table.origin}: row {row} has an empty {what}", hint="remove that row"
                )
            for text, start in answers[row]:
                _check(table, row, context, text, start)
        rows = columns.checked(
            [questions, contexts], np.zeros(len(questions), np.int64), table.origin
        )
        fields: dict[str, tuple[Any, ...]] = {
            "answers": tuple(tuple(text for text, _ in of) for of in answers),
            "starts": tuple(tuple(start for _, start in of) for of in answers),
        }
        return Rows(texts=rows.texts, labels=rows.labels, fields=fields)

    def encode(self, rows: Rows, tokenizer: Any, max_length: int) -> Encoded:
        """One encoded row per window."""
        questions, contexts = rows.texts
        return encode_windows(
            questions,
            contexts,
            rows.fields["answers"],
            rows.fields["starts"],
            tokenizer,
            max_length,
            overlap=self.overlap,
            query_length=self.query_length,
        )

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of the first and the last token, in float32."""
        return F.cross_entropy(logits.float().flatten(0, 1), batch.labels.flatten())

    def score(self, logits: Array, encoded: Encoded) -> Mapping[str, float]:
        """Exact match and F1 over the questions, in [0, 1]."""
        if not np.isfinite(logits).all():
            return dict.fromkeys(self.metrics, float("nan"))
        assert encoded.references is not None
        found = best_spans(logits, encoded, n_best=self.n_best, longest=self.longest)
        return score_answers(found, encoded.references.answers)

    def in_folder(self, root: Path) -> Reader | None:
        """The authors' JSON files where they are, else Parquet files."""
        folder = root / self.name
        if any((folder / name).exists() for name in FILES.values()):
            return JsonReader(folder=folder)
        return super().in_folder(root)


@dataclass(frozen=True, kw_only=True, slots=True)
class JsonReader:
    """``train-v1.1.json`` and ``dev-v1.1.json``."""

    folder: Path

    def splits(self) -> tuple[str, ...]:
        """Splits that have a file."""
        return tuple(split for split, name in FILES.items() if (self.folder / name).exists())

    def read(self, split: str) -> Table:
        """All questions of a split, in the columns of the hub."""
        if split not in self.splits():
            raise no_split(split, str(self.folder), self.splits())
        path = self.folder / FILES[split]
        found: dict[str, list[Any]] = {"question": [], "context": [], "answers": []}
        try:
            for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
                for paragraph in article["paragraphs"]:
                    for asked in paragraph["qas"]:
                        found["question"].append(asked["question"])
                        found["context"].append(paragraph["context"])
                        keys = ("text", "answer_start")
                        found["answers"].append({k: [a[k] for a in asked["answers"]] for k in keys})
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as exc:
            raise DataError(
                f"{path} is not a file of SQuAD 1.1: {type(exc).__name__}: {exc}"
            ) from exc
        return Table(columns=found, origin=str(path))


def _answers(table: Table, row: int, value: Any) -> list[tuple[str, int]]:
    """Texts and starts of the accepted answers of one question."""
    try:
        pairs = list(zip(value["text"], value["answer_start"], strict=True))
    except (TypeError, KeyError, ValueError):
        pairs = []
    if not pairs or not all(isinstance(t, str) and t and isinstance(s, int) for t, s in pairs):
        raise DataError(
            f"{table.origin}: row {row} has no answer (column 'answers' must hold text and "
            "answer_start, with at least one of each)",
            hint="unlabelled splits cannot be used; questions without answer are SQuAD 2",
        )
    return pairs


def _check(table: Table, row: int, context: str, text: str, start: int) -> None:
    there = context[start : start + len(text)] if start >= 0 else ""
    if there != text:
        raise DataError(
            f"{table.origin}: row {row}: the answer '{text[:40]}' does not stand at character "
            f"{start:,} of its context of {len(context):,} characters (there: '{there[:40]}')",
            hint="repair or remove that row",
        )


TASK = SpanTask(
    name="squad",
    about="Which part of a paragraph answers a question? Long texts in windows.",
    metric="f1",
    metrics=("f1", "exact_match"),
    hub=("rajpurkar/squad", "plain_text"),
)
