"""Classification and regression of one text or a pair: a task is one row of names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raykd.data import columns, metrics, row_outcomes
from raykd.data.base import Array, Examples, Task, TokenizedDataset
from raykd.data.encode import encode
from raykd.data.files import FileTask
from raykd.data.keys import at_key
from raykd.data.table import Table


class TextTask(Task):
    """What all tasks on one or two texts share: tokenising, metrics."""

    @property
    def has_row_classes(self) -> bool:
        """Where the kind has classes."""
        return self.task_kind.has_class_names

    def class_counts(self, rows: Examples) -> Array | None:
        """Rows of each class, where the kind has classes."""
        if not self.has_row_classes:
            return None
        return np.bincount(rows.labels, minlength=len(self.labels))

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """Tokenise rows; of a pair the longer text is cut first.

        Raises:
            DataError: Labels are no class ids, or no numbers.
        """
        metrics.check_labels(rows.labels, self.num_labels if self.labels else None)
        return encode(rows, tokenizer, max_length)

    def score(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
        """Every metric of the task."""
        score = metrics.score_classes if self.task_kind.has_class_names else metrics.score_values
        return score(self.metrics, logits, encoded.labels)

    def row_outcomes(self, metric: str, logits: Array, encoded: TokenizedDataset) -> Array | None:
        """What each row adds to a metric."""
        of = row_outcomes.of_classes if self.task_kind.has_class_names else row_outcomes.of_values
        return of(metric, logits, encoded.labels)

    def row_predictions(self, logits: Array, encoded: TokenizedDataset) -> Sequence[str] | None:
        """The class of each row, or its score."""
        if self.task_kind.has_class_names:
            return [self.labels[k] for k in logits.argmax(axis=1)]
        return [f"{value:.6g}" for value in logits[:, 0]]


@dataclass(frozen=True, kw_only=True)
class TextClassification(TextTask, FileTask):
    """A task on texts that stand in columns of their own.

    Attributes:
        texts: Text columns that are read: the one or two texts themselves, or what `compose` makes
            them of.
        label: Label column.
        span: Smallest and largest score of a regression task.
        compose: Makes the one or two texts of a row from `texts`, None when they are the texts.
    """

    texts: tuple[str, ...]
    label: str = "label"
    span: tuple[float, float] = (0.0, 1.0)
    compose: Callable[..., Sequence[str]] | None = None

    @property
    def own(self) -> str:
        """The task of the user's file that names columns and labels; empty for shipped tasks."""
        return ""

    def read_table(self, table: Table) -> Examples:
        """Rows from raw columns."""
        own, texts = self.own, self._texts(table)
        with at_key(".label" if own else ""):
            if not self.task_kind.has_class_names:
                labels = columns.scores(table, self.label, *self.span, own=own)
            else:
                labels = columns.class_ids(table, self.label, self.labels, own=own)
        return columns.checked(texts, labels, table.origin)

    def read_unlabelled(self, table: Table) -> Examples:
        """The texts alone."""
        kind = np.int64 if self.task_kind.has_class_names else np.float32
        return columns.checked(self._texts(table), np.zeros(len(table), kind), table.origin)

    def _texts(self, table: Table) -> list[tuple[str, ...]]:
        own = self.own
        texts: list[tuple[str, ...]] = []
        for k, name in enumerate(self.texts):
            with at_key(f".texts[{k}]" if own else ""):
                texts.append(columns.texts(table, name, own=own))
        if self.compose is not None:
            texts = [*zip(*(self.compose(*row) for row in zip(*texts, strict=True)), strict=True)]
        return texts
