from __future__ import annotations

import pytest
import torch

from raykd.errors import SpecError
from raykd.models import weights
from raykd.models.layer_selection import select_layers
from raykd.models.load import model_dims
from tests.unit.models.checkpoints import tiny

IDS = torch.tensor([[2, 7, 9, 3]])


def test_chosen_layers_come_in_the_order_given():
    teacher = tiny()
    student = weights.restore(select_layers(weights.capture(teacher), (2, 0), keep_head=True))
    assert model_dims(student).layers == 2
    for place, layer in enumerate((2, 0)):
        mine = student.bert.encoder.layer[place].state_dict()
        expected = teacher.bert.encoder.layer[layer].state_dict()
        assert all(torch.equal(mine[k], expected[k]) for k in expected)


def test_all_layers_give_the_teacher_back():
    teacher = tiny().eval()
    student = weights.restore(select_layers(weights.capture(teacher), (0, 1, 2), keep_head=True))
    with torch.no_grad():
        assert torch.equal(student.eval()(IDS).logits, teacher(IDS).logits)


def test_without_the_head_a_fresh_one_is_drawn():
    state = select_layers(weights.capture(tiny()), (0,), keep_head=False)
    one, two = weights.restore(state, seed=1), weights.restore(state, seed=2)
    assert not torch.equal(one.classifier.weight, two.classifier.weight)
    embeddings = one.bert.embeddings.word_embeddings.weight
    assert torch.equal(embeddings, tiny().bert.embeddings.word_embeddings.weight)


def test_bf16_tensors_stay_marked_under_their_new_names():
    teacher = tiny().to(torch.bfloat16)
    student = weights.restore(select_layers(weights.capture(teacher), (1,), keep_head=True))
    mine = student.bert.encoder.layer[0].output.dense.weight
    assert torch.equal(mine, teacher.bert.encoder.layer[1].output.dense.weight)


@pytest.mark.parametrize("layers", [(0, 3), (-1,)])
def test_a_layer_out_of_range_names_the_range(layers):
    with pytest.raises(SpecError, match="the teacher has 3, numbered 0 to 2"):
        select_layers(weights.capture(tiny()), layers, keep_head=True)


@pytest.mark.parametrize("layers", [(), (1, 1)])
def test_no_layer_or_one_twice_is_refused(layers):
    with pytest.raises(SpecError, match="each once"):
        select_layers(weights.capture(tiny()), layers, keep_head=True)
