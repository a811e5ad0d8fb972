"""Which models can be spread over ranks; what they do there is in tests/contracts/test_sharding."""

from __future__ import annotations

import torch
from torch import nn

from raykd import registry
from raykd.models.architectures import parts, tried
from raykd.models.architectures.probe import capabilities
from raykd.models.families.base import family_of
from raykd.models.sharding import SHARDING, blocks
from raykd.models.task_head import kind_of
from tests.unit.training.toys import bert


def test_families_that_are_not_probed_can_be_spread():
    checked = 0
    for name, kind in tried.CASES:
        config = tried.config(name, kind)
        if not family_of(config).is_checked:
            continue
        checked += 1
        torch.manual_seed(0)
        model = family_of(config).head_class(kind_of(vars(config)))(config).eval()
        before = {n: w.clone() for n, w in model.state_dict().items()}
        assert parts.sharding(model) == "", (name, kind)
        assert all(torch.equal(w, before[n]) for n, w in model.state_dict().items()), (name, kind)
    assert checked >= 10


def test_blocks_that_are_not_called_are_found_before_the_first_trial():
    lacks = dict(capabilities(tried.config("squeezebert", "classification")).lacks)
    assert lacks[SHARDING] == "weights of its blocks are read when no block is called"
    kinds = [(n, k) for n, of in registry.tried().items() for k in of if SHARDING in of[k]["lacks"]]
    assert kinds == [("squeezebert", "classification")]


def test_weights_that_are_read_next_to_the_call_of_their_block_are_found():
    model = bert(0).eval()
    layer = model.bert.encoder.layer[0]
    model.classifier.register_forward_pre_hook(
        lambda module, given: (given[0] + layer.output.dense.bias.sum(),)
    )
    assert parts.sharding(model) == "weights of its blocks are read when no block is called"


def test_a_model_without_a_list_of_blocks_cannot_be_spread():
    model = bert(0).eval()
    model.bert.encoder = nn.Identity()
    assert blocks(model) == ()
    assert "no list of blocks" in parts.sharding(model)
