from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from transformers.models.bert.modeling_bert import BertForSequenceClassification

from raykd.errors import DataError, SetupError
from raykd.models import weights
from tests.unit.models.checkpoints import tiny


def equal(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), two.state_dict().items(), strict=True)
    return all(a == b and x.dtype == y.dtype and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_a_restored_model_is_equal_and_independent():
    model = tiny()
    state = weights.capture(model)
    one, two = weights.restore(state), weights.restore(state)
    assert equal(one, model)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1)
        for parameter in model.parameters():
            parameter.add_(2)
    assert equal(two, weights.restore(state))
    assert not equal(one, two)


def test_a_restored_model_trains_and_works():
    model = weights.restore(weights.capture(tiny()))
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    out = model.eval()(input_ids=torch.tensor([[2, 5, 3]]))
    expected = tiny().eval()(input_ids=torch.tensor([[2, 5, 3]]))
    assert torch.equal(out.logits, expected.logits)


def test_read_only_arrays_can_be_restored():
    state = weights.capture(tiny())
    for array in state.tensors.values():
        array.flags.writeable = False
    model = weights.restore(state)
    with torch.no_grad():
        next(model.parameters()).zero_()
    assert equal(weights.restore(state), tiny())


def test_a_state_survives_pickling():
    state = weights.capture(tiny())
    assert equal(weights.restore(pickle.loads(pickle.dumps(state))), tiny())


def test_bf16_weights_keep_their_bits():
    model = tiny().to(torch.bfloat16)
    state = weights.capture(model)
    assert all(array.dtype == np.int16 for array in state.tensors.values())
    assert equal(weights.restore(state), model)


def test_a_missing_head_is_drawn_from_the_seed():
    state = weights.capture(tiny())
    bare = weights.ModelState(
        family=state.family,
        config=state.config,
        tensors={k: v for k, v in state.tensors.items() if not k.startswith("classifier.")},
    )
    one, again, other = (weights.restore(bare, seed=s) for s in (1, 1, 2))
    assert equal(one, again)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    assert torch.equal(one.bert.pooler.dense.weight, other.bert.pooler.dense.weight)
    assert one.classifier.bias.abs().max() == 0
    assert 0 < one.classifier.weight.std() < 1


def test_restoring_leaves_the_global_generator_alone():
    state = weights.capture(tiny())
    before = torch.get_rng_state()
    weights.restore(state, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_missing_weight_is_named():
    state = weights.capture(tiny())
    name = "bert.encoder.layer.1.output.dense.weight"
    broken = {k: v for k, v in state.tensors.items() if k != name}
    with pytest.raises(DataError, match=name):
        weights.restore(weights.ModelState(family="bert", config=state.config, tensors=broken))


def test_a_weight_of_the_wrong_shape_is_named():
    state = weights.capture(tiny())
    name = "bert.pooler.dense.weight"
    broken = dict(state.tensors) | {name: np.zeros((2, 2), np.float32)}
    with pytest.raises(DataError, match=rf"'{name}' has shape \[2, 2\].* says \[16, 16\]"):
        weights.restore(weights.ModelState(family="bert", config=state.config, tensors=broken))


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_saved_folder_opens_with_the_library_and_with_load(tmp_path, kind):
    model = tiny(kind=kind, num_labels=1 if kind == "regression" else 3)
    weights.save(weights.capture(model), tmp_path / "model")
    opened = BertForSequenceClassification.from_pretrained(tmp_path / "model")
    assert equal(opened, model)
    assert equal(weights.restore(weights.load(tmp_path / "model")), model)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError, match="cannot write the model"):
        weights.save(weights.capture(tiny()), tmp_path / "file")


def test_loading_what_is_no_model(tmp_path):
    with pytest.raises(DataError, match="is not a saved model"):
        weights.load(tmp_path)
