"""Pairs of texts and how similar they are; a model reads the two one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raykd.data import metrics
from raykd.data.base import Examples, TokenizedDataset
from raykd.data.classification import TextClassification
from raykd.data.encode import encode_and_cut
from raykd.data.kinds.embedding import KIND as EMBEDDING
from raykd.data.table import Table
from raykd.data.user_rows import UserRows


@dataclass(frozen=True, kw_only=True)
class TextPairs(TextClassification):
    """Two texts in columns of their own, and a similarity; `span` holds its ends."""

    kind: str = EMBEDDING.name

    def read_table(self, table: Table) -> Examples:
        """Rows from raw columns; similarities are put on a scale from 0 to 1, as cosines are."""
        rows = super().read_table(table)
        low, high = self.span
        return replace(rows, labels=((rows.labels - low) / (high - low)).astype(np.float32))

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """Tokens of both texts one after the other, each cut and ended as if it was alone.

        Raises:
            DataError: Labels are not numbers.
        """
        metrics.check_labels(rows.labels, None)
        (first, is_cut), (second, is_cut_too) = (
            encode_and_cut(replace(rows, texts=(column,)), tokenizer, max_length)
            for column in rows.texts
        )
        lengths = np.stack([np.diff(first.offsets), np.diff(second.offsets)], axis=1)
        is_first = np.repeat(np.tile([True, False], len(rows)), lengths.ravel())
        ids = np.empty(len(is_first), np.int32)
        ids[is_first], ids[~is_first] = first.input_ids, second.input_ids
        return replace(
            first,
            input_ids=ids,
            token_type_ids=(~is_first).astype(np.int8),
            offsets=first.offsets + second.offsets,
            truncated=int((is_cut | is_cut_too).sum()),
        )


@dataclass(frozen=True, kw_only=True)
class OwnPairs(UserRows, TextPairs):
    """Such pairs in columns that the user names."""

    kind: str = EMBEDDING.name
