"""Rows with any number of classes that a search space describes itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raykd.data import columns
from raykd.data.base import Array, Examples, TokenizedDataset
from raykd.data.encode import encode
from raykd.data.keys import at_key
from raykd.data.kinds.multi_label import KIND as MULTI_LABEL
from raykd.data.label_sets import check_sets, label_sets, score_sets
from raykd.data.table import Table
from raykd.data.user_rows import UserRows


@dataclass(frozen=True, kw_only=True)
class OwnSets(UserRows):
    """Texts and sets of classes in columns that the user names.

    Attributes:
        texts: One or two text columns.
        label: Column of sets.
    """

    texts: tuple[str, ...]
    label: str
    kind: str = MULTI_LABEL.name

    def read_table(self, table: Table) -> Examples:
        """Rows from raw columns."""
        texts = self._texts(table)
        with at_key(".label"):
            sets = label_sets(table, self.label, self.labels, own=self.name)
        return columns.checked(texts, sets, table.origin)

    def read_unlabelled(self, table: Table) -> Examples:
        """The texts alone."""
        none = np.zeros((len(table), len(self.labels)), np.float32)
        return columns.checked(self._texts(table), none, table.origin)

    def _texts(self, table: Table) -> list[tuple[str, ...]]:
        texts = []
        for k, name in enumerate(self.texts):
            with at_key(f".texts[{k}]"):
                texts.append(columns.texts(table, name, own=self.name))
        return texts

    def class_counts(self, rows: Examples) -> Array | None:
        """Rows that have each class; a row counts for all of its own."""
        counts: Array = rows.labels.sum(axis=0).astype(np.int64)
        return counts

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """Tokenise rows; of a pair the longer text is cut first."""
        check_sets(rows.labels, len(self.labels))
        return encode(rows, tokenizer, max_length)

    def score(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
        """Every metric of the task."""
        return score_sets(self.metrics, logits, np.asarray(encoded.labels))
