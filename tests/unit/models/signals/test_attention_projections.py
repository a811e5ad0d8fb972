"""Attention projections are what the layers of a block give, as read and as recorded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raykd.data.collate import Collator
from raykd.models.base import RandomInitConfig
from raykd.models.forward import forward
from raykd.models.load import build_model, model_dims
from raykd.models.signals.attention_projections import MODULES, AttentionProjection
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.hidden_states import HiddenState
from raykd.models.signals.logits import Logits
from raykd.teachers.recording import Recording, record, row_bytes
from tests.unit.training.toys import CPU, VOCABULARY, encoded

ENCODED = encoded(9, longest=12)
ROWS = np.asarray([4, 0, 8])


def model(family):
    random_init = RandomInitConfig(family=family, layers=2, hidden=16, heads=2)
    return build_model(
        random_init, vocabulary=VOCABULARY, kind="classification", num_labels=2, seed=0
    )


@pytest.mark.parametrize("which", ["query", "key", "value"])
@pytest.mark.parametrize("family", MODULES)
def test_they_are_the_projection_of_the_input_of_the_block(family, which):
    built = model(family).eval()
    batch = Collator(0, max_length=12)(ENCODED, ROWS)
    signal = AttentionProjection(1, which)
    with torch.no_grad():
        out = forward(built, batch, output_spec=(signal, HiddenState(1)))
        block = built.base_model.get_submodule(
            "transformer.layer.1" if family == "distilbert" else "encoder.layer.1"
        )
        projection = block.get_submodule(MODULES[family][which])
        want = projection(out.hidden(1))
    assert torch.equal(out.read(signal), want)
    assert out.read(signal).shape == signal.shape(*batch.input_ids.shape, model_dims(built))
    assert not projection._forward_hooks


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_recorded_is_what_was_read(dtype):
    built = model("bert").eval()
    sizes = model_dims(built)
    every = OutputSpec(Logits(), AttentionProjection("all", "value")).resolved(sizes)
    assert every.names == (
        "attention_projections/value/0", "attention_projections/value/1", "logits"
    )  # fmt: skip
    wide = dtype == "fp32"
    size = row_bytes(ENCODED, every, sizes, kind="classification", num_labels=2, wide=wide)
    kept = record(
        built,
        Recording(encoded=ENCODED, output_spec=every, pad_id=0, max_length=12, dtype=dtype,
                  batch_size=4, row_bytes=size),
        CPU,
    )  # fmt: skip
    assert sum(kept.stored().values()) == size.sum()
    batch = Collator(0, max_length=12)(ENCODED, ROWS)
    signal = AttentionProjection(0, "value")
    with torch.no_grad():
        want = forward(built, batch, output_spec=(signal,)).read(signal)
    want = want * batch.attention_mask[..., None]
    length = batch.input_ids.shape[1]
    actual = kept.gather(signal, ROWS, length=length, mask=batch.attention_mask)
    tolerance = {"fp32": 1e-6, "fp16": 2e-3, "bf16": 2e-2}[dtype]
    assert torch.allclose(actual, want, atol=tolerance)
