from __future__ import annotations

import math

import pytest
import torch

from raykd.errors import SpecError
from raykd.models import weights
from raykd.models.base import RandomInitConfig, Subnet
from raykd.models.forward import forward
from raykd.models.layer_selection import select_layers
from raykd.models.load import build_model
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.structured_pruning import keep_units
from tests.contracts.test_families import LENGTH, batch

__all__ = ["batch"]  # the fixture

FAMILIES = ("bert", "distilbert", "roberta")


def model(family: str = "bert", layers: int = 4):
    random_init = RandomInitConfig(
        family=family, layers=layers, hidden=16, heads=4, max_positions=LENGTH
    )
    return build_model(
        random_init, vocabulary=50, kind="classification", num_labels=3, seed=0
    ).eval()


@pytest.mark.parametrize(
    ("layers", "depth", "kept"),
    [
        (12, 0.5, (1, 3, 5, 7, 9, 11)),
        (12, 0.75, (0, 1, 3, 4, 5, 7, 8, 9, 11)),
        (4, 1.0, (0, 1, 2, 3)),
        (3, 0.25, (2,)),
        (1, 0.5, (0,)),
    ],
)
def test_blocks_are_spread_and_the_last_is_kept(layers, depth, kept):
    assert Subnet(depth=depth).blocks(layers) == kept


def test_the_whole_model_is_a_subnet_of_itself(batch):
    whole = model()
    assert torch.equal(forward(whole, batch, subnet=Subnet()).logits, forward(whole, batch).logits)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "subnet", [Subnet(width=0.5), Subnet(depth=0.5), Subnet(width=0.25, depth=0.5)]
)
def test_a_subnet_computes_what_a_pruned_model_does(batch, family, subnet):
    whole = model(family)
    state = weights.capture(whole)
    cut = weights.restore(select_layers(state, subnet.blocks(4), keep_head=True)).eval()
    layers = len(subnet.blocks(4))
    heads, neurons = math.ceil(4 * subnet.width), math.ceil(64 * subnet.width)
    cut = keep_units(cut, [range(heads)] * layers, [range(neurons)] * layers)
    actual = forward(whole, batch, subnet=subnet, output_spec=hidden_states((0, 1, 2, 3, 4)))
    expected = forward(cut, batch, output_spec=hidden_states(tuple(range(layers + 1))))
    assert torch.allclose(actual.logits, expected.logits, atol=1e-5)
    mask = batch.attention_mask.bool()
    for k in range(layers + 1):
        assert torch.allclose(actual.hidden(k)[mask], expected.hidden(k)[mask], atol=1e-5)
    if layers < 4:
        with pytest.raises(LookupError):
            actual.hidden(layers + 1)


def test_the_model_is_whole_again_afterwards(batch):
    whole = model()
    before = forward(whole, batch).logits
    names = set(whole.state_dict())
    forward(whole, batch, subnet=Subnet(width=0.25, depth=0.25))
    assert set(whole.state_dict()) == names
    assert torch.equal(forward(whole, batch).logits, before)


def test_gradients_reach_the_subnet_only(batch):
    whole = model()
    forward(whole, batch, subnet=Subnet(width=0.5, depth=0.5)).logits.sum().backward()
    blocks = whole.bert.encoder.layer
    assert blocks[0].intermediate.dense.weight.grad is None
    kept = blocks[1].intermediate.dense.weight.grad
    assert kept[:32].abs().sum() > 0
    assert not kept[32:].any()


def test_a_family_that_cannot_be_taken_apart_is_refused(batch):
    with pytest.raises(SpecError, match="cannot be told apart"):
        forward(model("deberta"), batch, subnet=Subnet(width=0.5))
