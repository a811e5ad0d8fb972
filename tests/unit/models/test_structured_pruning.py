from __future__ import annotations

import json

import pytest
import torch

from raykd.errors import DataError
from raykd.models import weights
from raykd.models.layer_selection import select_layers
from raykd.models.load import model_dims
from raykd.models.structured_pruning import keep_units
from raykd.models.unit_masks import count_units
from tests.checkpoint_models import load_model
from tests.unit.models.checkpoints import tiny

IDS = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
HEADS = [[2, 0], [], [1]]
NEURONS = [[5, 1, 9], [0, 15], []]


def model(**changes):
    return tiny(hidden=32, heads=4, intermediate=16, **changes).eval()


def logits(of) -> torch.Tensor:
    with torch.no_grad():
        return of(input_ids=IDS, attention_mask=MASK).logits


def pruned(**changes):
    return keep_units(model(**changes), HEADS, NEURONS)


def test_another_order_of_all_units_is_the_same_function():
    actual = keep_units(model(), [[3, 1, 0, 2]] * 3, [range(15, -1, -1)] * 3)
    assert torch.allclose(logits(actual), logits(model()), atol=1e-6)
    assert not hasattr(actual.config, "kept_units")
    first = model().bert.encoder.layer[0].output.dense.weight[:, 15]
    assert torch.equal(actual.bert.encoder.layer[0].output.dense.weight[:, 0], first)


def test_projections_are_really_smaller():
    actual = pruned()
    assert count_units(actual) == ((2, 0, 1), (3, 2, 0))
    block = actual.bert.encoder.layer[0]
    assert block.attention.self.query.weight.shape == (16, 32)
    assert block.attention.output.dense.weight.shape == (32, 16)
    assert block.intermediate.dense.bias.shape == (3,)
    assert block.output.dense.weight.shape == (32, 3)
    assert sum(p.numel() for p in actual.parameters()) < sum(
        p.numel() for p in model().parameters()
    )


def test_heads_are_kept_whole_and_in_the_order_given():
    teacher, actual = model(), pruned()
    reference = teacher.bert.encoder.layer[0].attention.self.value.weight
    mine = actual.bert.encoder.layer[0].attention.self.value.weight
    assert torch.equal(mine, torch.cat([reference[16:24], reference[0:8]]))


def test_an_emptied_block_is_the_normalisation_of_its_input():
    actual = keep_units(model(), [[], [0], [0]], [[], [0], [0]])
    block, hidden = actual.bert.encoder.layer[0], torch.randn(2, 4, 32)
    expected = block.output.LayerNorm(block.attention.output.LayerNorm(hidden))
    assert torch.equal(block(hidden), expected)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_both_ways_of_attention_agree(family, attention):
    actual = pruned(family=family)
    actual.set_attn_implementation(attention)
    other = pruned(family=family)
    other.set_attn_implementation("eager")
    assert torch.isfinite(logits(actual)).all()
    assert torch.allclose(logits(actual), logits(other), atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_the_widths_survive_plain_data_and_a_folder(family, tmp_path):
    actual = pruned(family=family)
    state = weights.capture(actual)
    assert json.loads(json.dumps(dict(state.config)))["kept_units"] == {
        "heads": [2, 0, 1], "neurons": [3, 2, 0],
    }  # fmt: skip
    again = weights.restore(state).eval()
    assert torch.equal(logits(again), logits(actual))
    weights.save(state, tmp_path)
    loaded = load_model(str(tmp_path), kind="classification", num_labels=3).eval()
    assert torch.equal(logits(loaded), logits(actual))
    assert torch.equal(logits(weights.restore(weights.load(tmp_path)).eval()), logits(actual))


def test_weights_of_other_widths_are_refused():
    state = weights.capture(pruned())
    config = dict(state.config) | {"kept_units": {"heads": [2, 0, 2], "neurons": [3, 2, 0]}}
    wrong = weights.ModelState(family=state.family, config=config, tensors=state.tensors)
    with pytest.raises(DataError, match=r"encoder.layer.2.+shape"):
        weights.restore(wrong)


def test_the_dims_is_that_of_the_teacher_and_says_so():
    mine, reference = model_dims(pruned()), model_dims(model())
    assert (mine.layers, mine.hidden, mine.heads) == (
        reference.layers,
        reference.hidden,
        reference.heads,
    )
    assert mine.uneven
    assert not reference.uneven


def test_a_pruned_model_can_be_pruned_and_cut_further():
    once = pruned()
    twice = keep_units(pruned(), [[1], [], [0]], [[2, 0], [1], []])
    assert count_units(twice) == ((1, 0, 1), (2, 1, 0))
    mine = twice.bert.encoder.layer[0].output.dense.weight
    reference = once.bert.encoder.layer[0].output.dense.weight
    assert torch.equal(mine, reference[:, [2, 0]])
    cut = weights.restore(select_layers(weights.capture(once), (2, 0), keep_head=True))
    assert count_units(cut) == ((1, 2), (0, 3))


def test_it_trains():
    actual = pruned().train()
    actual(input_ids=IDS, attention_mask=MASK).logits.square().sum().backward()
    assert all(p.grad is not None for p in actual.parameters())


def test_nothing_is_drawn():
    before = torch.random.get_rng_state()
    teacher = model()
    torch.random.set_rng_state(before)
    keep_units(teacher, HEADS, NEURONS)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_hidden_states_keep_their_numbers():
    with torch.no_grad():
        out = pruned()(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
    assert [tuple(h.shape) for h in out.hidden_states] == [(2, 4, 32)] * 4
