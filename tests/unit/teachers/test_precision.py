"""A frozen teacher in fewer bits: what is scored, recorded and run, and what it costs is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd.errors import TeacherError
from raykd.models import weights
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.precision import error_of, frozen
from raykd.teachers.prepare import make
from raykd.training.device import FROZEN_DTYPES, Ability, resolve_frozen_precision
from tests.unit.sweep.specs import spec
from tests.unit.teachers import tiny
from tests.unit.teachers.same import same, timeless

FEWER = ["bf16", "fp16"]


@pytest.mark.parametrize(
    ("requested", "device", "bf16", "actual"),
    [
        ("auto", "cuda", True, "bf16"),
        ("auto", "cuda", False, "fp32"),
        ("auto", "cpu", True, "fp32"),
        ("auto", "cpu", False, "fp32"),
        *[
            (requested, device, False, requested)
            for requested in FROZEN_DTYPES
            for device in ("cpu", "cuda")
        ],
    ],
)
def test_auto_is_bf16_on_gpus_that_have_it(requested, device, bf16, actual):
    assert resolve_frozen_precision(requested, Ability(device, bf16)) == actual


def arrays(prepared):
    blocks = prepared.cached_outputs.chunks()
    return [array.astype(np.float64) for block in blocks for array in block]


@pytest.mark.parametrize("precision", FEWER)
def test_it_is_recorded_in_its_precision_and_the_error_is_measured(precision):
    exact, state = tiny.ready()
    served, own = tiny.prepared(frozen_precision=precision)
    assert exact.precision_error == {}
    assert same(own, state)  # what is kept are the weights as they were trained
    assert served.precision == precision
    (name, error), *others = served.precision_error.items()
    assert (name, others) == ("logits", [])
    assert 1e-5 < error < 0.05
    both = zip(arrays(served), arrays(exact), strict=True)
    actual = [np.abs(one - two).max() for one, two in both]
    assert all(0 < most < 0.2 for most in actual)


def test_students_made_of_it_begin_with_its_own_weights():
    cut = {"student": StudentFromTeacher(layers=(0,), weights="finetuned")}
    one, two = (tiny.prepared(**cut, **more)[0] for more in ({}, {"frozen_precision": "bf16"}))
    assert same(one.student, two.student)


def test_it_runs_online_in_its_precision():
    prepared, _ = tiny.prepared(mode="weights", frozen_precision="bf16")
    model = open_teacher(prepared, tiny.WORLD)._model
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_the_cache_keeps_the_error_and_what_was_recorded_in_each_precision(tmp_path):
    first = tiny.through(tmp_path, tiny.given())
    served = tiny.through(tmp_path, tiny.inputs(frozen_precision="bf16"))
    assert {"precision_error", "scores/test", "recorded/logits"} <= set(served.lookup.missing)
    assert "weights" not in served.lookup.missing
    again = tiny.through(tmp_path, tiny.inputs(frozen_precision="bf16"))
    assert again.lookup.missing == ()
    assert same(timeless(again.prepared), timeless(served.prepared))
    assert tiny.through(tmp_path, tiny.given()).lookup.missing == ()
    assert not same(first.prepared.cached_outputs, served.prepared.cached_outputs)


def test_a_checkpoint_that_is_used_as_it_is_is_not_copied(tmp_path):
    weights.save(weights.capture(tiny.given().teacher.build(7)), tmp_path)
    state = weights.load(tmp_path)
    teacher = replace(tiny.given().teacher, state=state, random_init=None)
    made = make(tiny.inputs(teacher=teacher, finetune=None), tiny.WORLD, lambda *progress: None)
    assert made.state is state
    bare = replace(state, tensors={n: a for n, a in state.tensors.items() if "classifier" not in n})
    teacher = replace(teacher, state=bare)
    made = make(tiny.inputs(teacher=teacher, finetune=None), tiny.WORLD, lambda *progress: None)
    assert set(made.state.tensors) == set(state.tensors)  # the head that was drawn is kept


def test_the_error_of_a_teacher_of_tokens_is_that_of_its_hidden_states():
    gpt2 = {"family": "gpt2", "heads": 2, "layers": 2, "vocabulary": 300, "max_positions": 64}
    text = "toy_text/replies"
    made = spec(
        tasks=[text], data__max_length=64, data__limit=20, data__student_rows=None,
        teacher={"model": {**gpt2, "hidden": 16}, "finetune": {"epochs": 1}, "precision": "bf16"},
        student={"model": {**gpt2, "hidden": 8, "layers": 1}},
    )  # fmt: skip
    inputs = plan_teacher(made, set_up_task(made, text), 1 << 30).inputs
    assert inputs.frozen_precision == "bf16"
    model = inputs.teacher.build(0).eval()
    factory = replace(inputs.teacher, state=weights.capture(model), random_init=None)
    served = frozen(factory, "bf16", tiny.WORLD)
    error = error_of(inputs, model, served, tiny.WORLD.device)
    assert list(error) == ["tokens"]
    assert 1e-5 < error["tokens"] < 0.05
    assert error_of(inputs, model, model, tiny.WORLD.device) == {"tokens": 0.0}


def test_a_teacher_that_overflows_in_fp16_is_reported_with_what_to_set():
    state = weights.capture(tiny.given().teacher.build(7))
    head = "classifier.weight"
    large = {n: np.array(a) * (1e6 if n == head else 1) for n, a in state.tensors.items()}
    teacher = replace(tiny.given().teacher, state=replace(state, tensors=large), random_init=None)
    changes = {"teacher": teacher, "finetune": None, "output_spec": OutputSpec(Logits())}
    tiny.prepared(**changes)
    with pytest.raises(TeacherError, match="not finite") as caught:
        tiny.prepared(**changes, frozen_precision="fp16")
    assert "teacher.precision: bf16" in caught.value.hint
