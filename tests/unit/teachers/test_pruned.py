from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd.data.collate import Collator
from raykd.models import weights
from raykd.models.base import RandomInitConfig
from raykd.models.load import model_dims
from raykd.models.model_factory import factory_from_random_init
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.models.unit_masks import count_units
from raykd.teachers.pruned import prune
from tests.unit.teachers import tiny


def teacher():
    """How a teacher with heads and neurons in eights begins."""
    given = tiny.given()
    random_init = RandomInitConfig(
        family="bert", layers=2, hidden=16, heads=2, max_positions=tiny.LENGTH
    )
    return factory_from_random_init(
        random_init,
        vocabulary=given.teacher.dims.vocabulary,
        kind=given.task.kind,
        num_labels=given.task.num_labels,
    )


def pruned(model, sparsity: float, rows: str = "validation"):
    given = tiny.given()
    return prune(
        model,
        given.teacher_splits[rows],
        given.task,
        sparsity=sparsity,
        collator=Collator(given.teacher_pad, max_length=given.max_length),
        device=torch.device("cpu"),
    )


def test_the_student_is_smaller_and_the_teacher_as_it_was():
    model = teacher().build(0)
    before = weights.capture(model)
    state = pruned(model, 50)
    heads, neurons = count_units(weights.restore(state))
    assert sum(heads) == 2
    assert sum(neurons) == 64
    after = weights.capture(model)
    assert all(np.array_equal(after.tensors[k], v) for k, v in before.tensors.items())
    assert after.config == before.config
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


def test_it_keeps_what_the_task_loss_depends_on():
    """A neuron whose output is multiplied by zero does not matter, so it is among those that go."""
    model = teacher().build(0)
    dead = [1, 5, 8, 20, 33, 40, 41, 63]
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight[:, dead] = 0
    state = pruned(model, 100 * 8 / 128)
    alive = [k for k in range(64) if k not in dead]
    weight = state.tensors["bert.encoder.layer.0.intermediate.dense.weight"]
    expected = model.bert.encoder.layer[0].intermediate.dense.weight[alive].detach().numpy()
    assert np.array_equal(weight, expected)


def test_the_same_rows_give_the_same_student():
    model = teacher().build(0)
    one, two = pruned(model, 50), pruned(model, 50)
    assert all(np.array_equal(two.tensors[k], v) for k, v in one.tensors.items())


def test_preparing_makes_the_student_of_the_finetuned_teacher():
    derived = StudentFromTeacher(sparsity=50.0, weights="finetuned")
    prepared, state = tiny.prepared(teacher=teacher(), student=derived)
    student = prepared.student.build(0)
    assert sum(count_units(student)[1]) == 64
    assert prepared.student.dims == model_dims(student)
    assert prepared.student.dims == replace(teacher().dims, uneven=True)
    mine = student.bert.embeddings.word_embeddings.weight.detach().numpy()
    assert np.array_equal(mine, state.tensors["bert.embeddings.word_embeddings.weight"])
    expected = pruned(weights.restore(state), 50)
    given = prepared.student.state
    assert all(np.array_equal(expected.tensors[k], v) for k, v in given.tensors.items())


@pytest.mark.parametrize(
    ("derived", "changes"),
    [
        (StudentFromTeacher(layers=(1,), weights="finetuned"), {"layers": 1}),
        (StudentFromTeacher(sparsity=10.0, weights="finetuned"), {"uneven": True}),
    ],
)
def test_the_dims_of_a_derived_student_are_known(derived, changes):
    assert derived.dims(teacher().dims) == replace(teacher().dims, **changes)
