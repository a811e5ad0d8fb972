from __future__ import annotations

import pytest
import torch

from raykd.data.base import Batch
from raykd.models.forward import forward
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from tests.unit.models.checkpoints import tiny


@pytest.fixture
def batch():
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    mask = (ids > 0).long()
    types = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0]])
    return Batch(
        input_ids=ids, attention_mask=mask, token_type_ids=types, labels=ids[:, 0],
        index=torch.arange(2),
    )  # fmt: skip


def test_only_the_asked_layers_are_kept(batch):
    out = forward(tiny().eval(), batch, output_spec=hidden_states((0, 3)))
    assert out.hidden(0).shape == out.hidden(3).shape == (2, 4, 16)
    with pytest.raises(LookupError, match="hidden_states/1"):
        out.hidden(1)
    with pytest.raises(LookupError, match="attentions/0"):
        out.attention(0)


def test_layer_zero_is_the_embedding_and_the_last_one_feeds_the_pooler(batch):
    model = tiny().eval()
    out = forward(model, batch, output_spec=hidden_states((0, 3)))
    embedded = model.bert.embeddings(input_ids=batch.input_ids, token_type_ids=batch.token_type_ids)
    assert torch.equal(out.hidden(0), embedded)
    assert torch.equal(model.classifier(model.bert.pooler(out.hidden(3))), out.logits)


def test_attentions_are_probabilities_that_leave_padding_out(batch):
    model = tiny().eval()
    plain = forward(model, batch).logits
    out = forward(model, batch, output_spec=attention_maps((1,)))
    assert out.attention(1).shape == (2, 2, 4, 4)
    assert torch.allclose(out.attention(1).sum(-1), torch.ones(2, 2, 4))
    assert out.attention(1)[1, :, :, 3].abs().max() == 0
    assert torch.allclose(out.logits, plain, atol=1e-6)


def test_padding_does_not_change_the_logits(batch):
    model = tiny().eval()
    short = Batch(
        input_ids=batch.input_ids[1:, :3],
        attention_mask=batch.attention_mask[1:, :3],
        token_type_ids=batch.token_type_ids[1:, :3],
        labels=batch.labels[1:],
        index=batch.index[1:],
    )
    alone, padded = forward(model, short).logits, forward(model, batch).logits[1:]
    assert torch.allclose(alone, padded, atol=1e-6)


def test_the_second_text_of_a_pair_is_marked_for_models_that_know_marks(batch):
    model = tiny().eval()
    unmarked = Batch(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask,
        token_type_ids=torch.zeros_like(batch.input_ids), labels=batch.labels, index=batch.index,
    )  # fmt: skip
    assert not torch.equal(forward(model, batch).logits, forward(model, unmarked).logits)
    ignorant = tiny(family="distilbert").eval()
    assert torch.equal(forward(ignorant, batch).logits, forward(ignorant, unmarked).logits)


def test_gradients_reach_the_weights_through_a_hidden_state(batch):
    model = tiny()
    forward(model, batch, output_spec=hidden_states((2,))).hidden(2).square().sum().backward()
    assert model.bert.encoder.layer[1].output.dense.weight.grad.abs().sum() > 0
    assert model.bert.encoder.layer[2].output.dense.weight.grad is None


def test_a_layer_that_does_not_exist(batch):
    with pytest.raises(IndexError):
        forward(tiny(), batch, output_spec=hidden_states((4,)))
