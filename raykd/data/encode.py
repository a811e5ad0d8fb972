"""Tokenises rows, without padding.

Axes: N row.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from raykd.data.base import Array, Examples, TokenizedDataset
from raykd.data.batch import ROW_COLUMNS
from raykd.errors import DataError

ROWS_AT_ONCE = 4096
"""Rows given to the tokenizer in one call; bounds the memory of its own records."""


def encode(rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
    """Token ids of all rows, as `encode_and_cut` gives them."""
    return encode_and_cut(rows, tokenizer, max_length)[0]


def encode_and_cut(
    rows: Examples, tokenizer: Any, max_length: int
) -> tuple[TokenizedDataset, Array]:
    """Token ids of all rows, and which of these were cut, bool ``[N]``.

    Rows longer than `max_length` are cut from the longer text of the pair first.

    Args:
        rows: One or two text columns.
        tokenizer: A fast ``PreTrainedTokenizerBase``.
        max_length: Most tokens of a row, special tokens included.

    Raises:
        DataError: There are more text columns than a model reads.
    """
    if len(rows.texts) > 2:
        raise DataError(
            f"rows have {len(rows.texts)} texts, and a model reads one or two",
            hint="put them together (compose) where the task reads its rows",
        )
    ids, types, lengths = [], [], []
    is_cut = np.zeros(len(rows), bool)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = [list(column[start : start + ROWS_AT_ONCE]) for column in rows.texts]
        batch = tokenizer(
            part[0],
            part[1] if len(part) > 1 else None,
            truncation="longest_first" if len(part) > 1 else "only_first",
            max_length=max_length,
            return_attention_mask=False,
        )
        sizes = np.fromiter(map(len, batch["input_ids"]), np.int64)
        total = int(sizes.sum())
        ids.append(np.fromiter(chain.from_iterable(batch["input_ids"]), np.int32, total))
        if "token_type_ids" in batch:
            flat = chain.from_iterable(batch["token_type_ids"])
            types.append(np.fromiter(flat, np.int8, total))
        else:
            types.append(np.zeros(total, np.int8))
        lengths.append(sizes)
        full = np.flatnonzero(sizes == max_length)
        is_cut[start + full] = [bool(batch.encodings[i].overflowing) for i in full]
    encoded = TokenizedDataset(
        input_ids=np.concatenate(ids),
        token_type_ids=np.concatenate(types),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64),
        labels=rows.labels,
        truncated=int(is_cut.sum()),
        columns={
            name: np.asarray(rows.fields[name], np.float32)
            for name in ROW_COLUMNS
            if name in rows.fields
        },
    )
    return encoded, is_cut
