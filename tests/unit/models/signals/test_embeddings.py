"""Vectors of texts: what is recorded of them is what was read, in the format that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raykd.models.base import ModelDims, Outputs
from raykd.models.signals.base import Padded, RowSizes
from raykd.models.signals.embeddings import Embeddings

SIZES = ModelDims(layers=2, hidden=8, heads=2, vocabulary=50)
ROWS = RowSizes(lengths=np.array([9, 5, 2]), positions=np.array([9, 5, 2]))


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_a_recording_gives_them_back(dtype):
    signal, values = Embeddings(), torch.randn(3, 2, 8)
    out = Outputs(values={signal: values})
    rows = signal.rows(out, torch.ones(3, 9), ROWS)
    to = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    kept = [row.to(to) for row in rows]
    arrays = [(row.view(torch.int16) if dtype == "bf16" else row).numpy() for row in kept]
    actual = signal.batch(arrays, Padded(length=9, dtype=dtype))
    assert torch.equal(actual, values.to(to).float())


def test_its_size_is_known_before():
    signal = Embeddings()
    assert signal.numbers(ROWS, SIZES).tolist() == [16, 16, 16]
    assert signal.shape(3, 9, SIZES) == (3, 2, 8)
    assert not signal.by_position
