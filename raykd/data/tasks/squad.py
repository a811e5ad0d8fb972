"""SQuAD 1.1 (Rajpurkar et al., 2016, https://arxiv.org/abs/1606.05250): answers are spans.

Read from Parquet files in the layout of the hub, or from the authors' JSON files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raykd.data import columns
from raykd.data.base import Array, Examples, TokenizedDataset
from raykd.data.files import FileTask
from raykd.data.json_files import read_json
from raykd.data.kinds.span import KIND as SPAN
from raykd.data.row_outcomes import means
from raykd.data.spans import best_spans, encode_windows
from raykd.data.squad_metrics import answer_values
from raykd.data.table import Faults, Reader, Table, no_split
from raykd.data.values import shown, whole
from raykd.errors import DataError

KEYS = ("text", "answer_start")
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

    kind: str = SPAN.name
    labels: tuple[str, ...] = ("start", "end")
    overlap: int = 128
    query_length: int = 64
    n_best: int = 20
    longest: int = 30

    def read_table(self, table: Table) -> Examples:
        """One row per question; accepted answers and where they begin are fields."""
        questions = columns.texts(table, "question")
        contexts = columns.texts(table, "context")
        answers = _answers(table)
        faults = Faults(table.origin)
        for row, (question, context) in enumerate(zip(questions, contexts, strict=True)):
            what = "context" if question.strip() else "question"
            if not question.strip() or not context.strip():
                faults.add(f"rows have an empty {what}", table.place(row), f"has an empty {what}",
                           "remove them")  # fmt: skip
            else:
                _check(faults, table.place(row), context, answers[row])
        faults.check()
        rows = columns.checked(
            [questions, contexts], np.zeros(len(questions), np.int64), table.origin
        )
        fields: dict[str, tuple[Any, ...]] = {
            "answers": tuple(tuple(text for text, _ in of) for of in answers),
            "starts": tuple(tuple(start for _, start in of) for of in answers),
        }
        return Examples(texts=rows.texts, labels=rows.labels, fields=fields)

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
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

    def score(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
        """Exact match and F1 over the questions, in [0, 1]."""
        if not np.isfinite(logits).all():
            return dict.fromkeys(self.metrics, float("nan"))
        return means(self._values(logits, encoded))

    def row_outcomes(self, metric: str, logits: Array, encoded: TokenizedDataset) -> Array | None:
        """What each question adds to a metric."""
        return np.asarray(self._values(logits, encoded)[metric])

    def row_predictions(self, logits: Array, encoded: TokenizedDataset) -> list[str]:
        """The answer to each question."""
        return best_spans(logits, encoded, n_best=self.n_best, longest=self.longest)

    def _values(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, list[float]]:
        assert encoded.references is not None
        return answer_values(self.row_predictions(logits, encoded), encoded.references.answers)

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
        read_columns: dict[str, list[Any]] = {"question": [], "context": [], "answers": []}
        try:
            for article in read_json(path)["data"]:
                for paragraph in article["paragraphs"]:
                    for item in paragraph["qas"]:
                        read_columns["question"].append(item["question"])
                        read_columns["context"].append(paragraph["context"])
                        read_columns["answers"].append(
                            {k: [a[k] for a in item["answers"]] for k in KEYS}
                        )
        except (KeyError, TypeError) as exc:
            raise DataError(
                f"{path} is not a file of SQuAD 1.1: {type(exc).__name__}: {exc}"
            ) from exc
        return Table(columns=read_columns, origin=str(path))


def _answers(table: Table) -> list[list[tuple[str, int]]]:
    """Texts and starts of the accepted answers of every question."""
    rows = []
    faults = Faults(table.origin)
    for row, value in enumerate(table.column("answers")):
        texts, starts = [value.get(key) for key in KEYS] if isinstance(value, dict) else (0, 0)
        pairs = []
        if isinstance(texts, list | tuple) and isinstance(starts, list | tuple):
            numbers = [whole(start) for start in starts]
            if len(numbers) == len(texts) and None not in numbers:
                pairs = [(t, s) for t, s in zip(texts, numbers, strict=True) if s is not None]
        if not pairs or not all(isinstance(text, str) and text for text, _ in pairs):
            what = (
                f"has no answer (column 'answers' holds {shown(value)}, expected text and "
                "answer_start, with at least one of each)"
            )
            hint = "unlabelled splits cannot be used; questions without answer are SQuAD 2"
            faults.add("rows have no answer", table.place(row), what, hint)
        rows.append(pairs)
    faults.check()
    return rows


def _check(faults: Faults, place: str, context: str, answers: Sequence[tuple[str, int]]) -> None:
    for text, start in answers:
        there = context[start : start + len(text)] if start >= 0 else ""
        if there != text:
            what = (
                f"the answer '{text[:40]}' does not stand at character {start:,} of its context "
                f"of {len(context):,} characters (there: '{there[:40]}')"
            )
            kind = "rows have an answer that is not in its place"
            faults.add(kind, place, what, "repair or remove them")
            return


TASK = SpanTask(
    name="squad",
    about="Which part of a paragraph answers a question? Long texts in windows.",
    metric="f1",
    metrics=("f1", "exact_match"),
    hub=("rajpurkar/squad", "plain_text"),
)
