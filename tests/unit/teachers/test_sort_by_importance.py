from __future__ import annotations

import numpy as np
import torch

from raykd.data.collate import Collator
from raykd.models import weights
from raykd.models.forward import forward
from raykd.models.load import model_dims
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers.pruned import _scores, sort_units
from tests.unit.teachers import tiny

COLLATE = Collator(0, max_length=tiny.LENGTH)
CPU = torch.device("cpu")


def test_the_order_changes_and_the_function_does_not():
    inputs = tiny.given()
    state = tiny.ready()[1]
    validation = inputs.teacher_splits["validation"]
    again = sort_units(state, validation, inputs.task, collator=COLLATE, device=CPU)
    batch = COLLATE(validation, np.arange(5))
    before, after = (weights.restore(s).eval() for s in (state, again))
    assert torch.allclose(forward(before, batch).logits, forward(after, batch).logits, atol=1e-5)
    assert model_dims(after) == model_dims(before)
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    assert not np.array_equal(state.tensors[name], again.tensors[name])
    scores = _scores(after, validation, inputs.task, COLLATE, CPU)
    for of in (scores.heads, scores.neurons):
        assert (np.diff(of, axis=1) <= 1e-5 * of.max()).all()


def test_a_student_may_select_layers_and_sort_units():
    derived = StudentFromTeacher(layers=(1,), weights="finetuned")
    plain, wired = (
        tiny.prepared(
            student=StudentFromTeacher(layers=(1,), weights="finetuned", sort_by_importance=flag)
        )[0]
        for flag in (False, True)
    )
    assert derived.layers == (1,)
    one, two = (p.student.build(seed=0).eval() for p in (plain, wired))
    batch = COLLATE(plain.splits["validation"], np.arange(4))
    assert torch.allclose(forward(one, batch).logits, forward(two, batch).logits, atol=1e-5)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(),
                                                     strict=True))  # fmt: skip
