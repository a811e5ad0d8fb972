from __future__ import annotations

import numpy as np
import pytest
import torch

from raykd.data.base import TokenizedDataset
from raykd.data.collate import Collator

PAD = 9


@pytest.fixture
def encoded():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 12, size=40)
    total = int(lengths.sum())
    return TokenizedDataset(
        input_ids=rng.integers(10, 99, size=total).astype(np.int32),
        token_type_ids=rng.integers(0, 2, size=total).astype(np.int8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=rng.integers(0, 3, size=40),
    )


def padded_one_by_one(encoded: TokenizedDataset, rows: np.ndarray, width: int) -> dict[str, list]:
    ids, mask, types = [], [], []
    for row in rows:
        begin, end = encoded.offsets[row : row + 2]
        rest = width - (end - begin)
        ids.append([*encoded.input_ids[begin:end].tolist(), *[PAD] * rest])
        mask.append([1] * (end - begin) + [0] * rest)
        types.append([*encoded.token_type_ids[begin:end].tolist(), *[0] * rest])
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


@pytest.mark.parametrize("context_padding", [0, 3])
def test_a_batch_equals_rows_padded_one_by_one(encoded, context_padding):
    rows = np.array([5, 0, 39, 17, 17])
    batch = Collator(PAD, max_length=64, context_padding=context_padding)(encoded, rows)
    width = int(encoded.lengths()[rows].max()) + context_padding
    for name, expected in padded_one_by_one(encoded, rows, width).items():
        actual = getattr(batch, name)
        assert actual.dtype == torch.int64
        assert actual.tolist() == expected
    assert batch.index.tolist() == rows.tolist()
    assert batch.labels.tolist() == encoded.labels[rows].tolist()


def test_the_margin_ends_at_the_maximum_length(encoded):
    rows = np.arange(40)
    longest = int(encoded.lengths().max())
    batch = Collator(PAD, max_length=longest + 2, context_padding=5)(encoded, rows)
    assert batch.input_ids.shape[1] == longest + 2


def test_a_row_longer_than_the_maximum_keeps_its_tokens(encoded):
    rows = np.arange(40)
    longest = int(encoded.lengths().max())
    batch = Collator(PAD, max_length=4, context_padding=5)(encoded, rows)
    assert batch.input_ids.shape[1] == longest
    assert int(batch.attention_mask.sum()) == len(encoded.input_ids)


def test_float_labels_stay_float(encoded):
    scores = TokenizedDataset(
        input_ids=encoded.input_ids,
        token_type_ids=encoded.token_type_ids,
        offsets=encoded.offsets,
        labels=np.linspace(0, 5, 40, dtype=np.float32),
    )
    assert Collator(PAD, max_length=16)(scores, np.array([3])).labels.dtype == torch.float32


def test_writing_to_a_batch_does_not_reach_the_rows(encoded):
    rows = np.array([1, 2])
    before = encoded.input_ids.copy(), encoded.labels.copy()
    batch = Collator(PAD, max_length=16)(encoded, rows)
    for name in ("input_ids", "labels", "index"):
        getattr(batch, name).fill_(-1)
    assert np.array_equal(encoded.input_ids, before[0])
    assert np.array_equal(encoded.labels, before[1])
    assert rows.tolist() == [1, 2]
