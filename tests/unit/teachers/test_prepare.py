from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from raykd.errors import TeacherError
from raykd.methods.base import OutputSpec
from raykd.models import weights
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers.prepare import prepare
from raykd.training import latency
from tests.unit.teachers import tiny


@pytest.fixture
def forwards(monkeypatch):
    """Rows that pass through the teacher, by their tokens."""
    seen: Counter[tuple[int, ...]] = Counter()
    padding = tiny.given().teacher_pad
    original = BertForSequenceClassification.forward

    @functools.wraps(original)
    def counted(self, *arguments, **keywords):
        for row in keywords["input_ids"].tolist():
            seen[tuple(token for token in row if token != padding)] += 1
        return original(self, *arguments, **keywords)

    monkeypatch.setattr(BertForSequenceClassification, "forward", counted)
    return seen


def pieces(model_state, prefix="bert.encoder.layer."):
    return {name: array for name, array in model_state.tensors.items() if name.startswith(prefix)}


def test_the_teacher_reads_every_row_once_and_says_so(forwards):
    prepared, _ = tiny.prepared(finetune=None)
    recorded = sum(tiny.ROWS[role] for role in ("train", "validation", "test"))
    assert prepared.forwards == prepared.distinct == recorded
    # Teacher and student read some rows of the validation split again, to be timed.
    timed = 2 * (latency.LATENCY_ROWS + latency.TURNS * latency.TURN_WARMUP)
    assert (forwards.total(), len(forwards)) == (recorded + timed, recorded)


def test_scores_and_history_belong_to_the_fine_tuned_teacher():
    prepared, state = tiny.ready()
    assert set(prepared.metrics) == {"validation/accuracy", "test/accuracy"}
    assert len(prepared.history) == 1
    assert prepared.history[-1].metrics["accuracy"] == prepared.metrics["validation/accuracy"]
    assert prepared.parameters == sum(a.size for a in state.tensors.values())
    assert (prepared.task, prepared.fingerprint) == (tiny.TASK, "f00d")


def test_a_teacher_that_is_used_as_it_is_keeps_its_weights():
    model = tiny.pretrained(tiny.given().teacher)
    prepared, state = tiny.prepared(teacher=model, finetune=None)
    assert prepared.history == ()
    assert all(np.array_equal(state.tensors[n], a) for n, a in model.state.tensors.items())


def test_fine_tuning_changes_the_weights():
    model = tiny.pretrained(tiny.given().teacher)
    _, state = tiny.prepared(teacher=model)
    before, after = pieces(model.state), pieces(state)
    assert before.keys() == after.keys()
    assert not any(np.array_equal(before[n], after[n]) for n in before if n.endswith("weight"))


def test_the_same_inputs_give_the_same_teacher():
    one, two = tiny.ready()[0], tiny.prepared()[0]
    assert np.array_equal(one.cached_outputs.all_logits(), two.cached_outputs.all_logits())
    assert one.metrics == two.metrics


def test_what_the_methods_read_is_recorded_for_the_training_rows():
    cached_outputs = tiny.ready()[0].cached_outputs
    assert cached_outputs.all_logits().shape == (tiny.ROWS["train"], 3)
    assert cached_outputs.names == ("hidden_states/0", "hidden_states/2", "logits")
    assert cached_outputs.context_padding == 2


def test_without_signals_only_logits_are_recorded():
    cached_outputs = tiny.prepared(output_spec=OutputSpec())[0].cached_outputs
    assert cached_outputs.names == ("logits",)


def test_a_teacher_served_by_its_weights_is_not_recorded():
    prepared, state = tiny.prepared(mode="weights")
    assert prepared.cached_outputs is None
    built = weights.capture(prepared.teacher.build(seed=0))
    assert all(np.array_equal(built.tensors[n], a) for n, a in state.tensors.items())
    assert prepared.metrics == tiny.ready()[0].metrics


def test_a_student_cut_from_the_fine_tuned_teacher_has_its_layers_and_head():
    derived = StudentFromTeacher(layers=(1,), weights="finetuned")
    prepared, state = tiny.prepared(student=derived)
    student = weights.capture(prepared.student.build(seed=5))
    assert prepared.student.dims.layers == 1
    for name, array in pieces(student, "bert.encoder.layer.0.").items():
        origin = name.replace("layer.0.", "layer.1.")
        assert np.array_equal(array, state.tensors[origin]), name
    assert np.array_equal(student.tensors["classifier.weight"], state.tensors["classifier.weight"])


def test_a_student_cut_from_the_pretrained_teacher_has_layers_from_before_and_a_fresh_head():
    model = tiny.pretrained(tiny.given().teacher)
    derived = StudentFromTeacher(layers=(0,), weights="pretrained")
    prepared, state = tiny.prepared(teacher=model, student=derived)
    one, two = (weights.capture(prepared.student.build(seed)) for seed in (5, 6))
    for name, array in pieces(one).items():
        assert np.array_equal(array, model.state.tensors[name]), name
        if name.endswith("weight"):
            assert not np.array_equal(array, state.tensors[name]), name
    assert not np.array_equal(one.tensors["classifier.weight"], two.tensors["classifier.weight"])


def test_pretrained_layers_of_a_random_teacher_do_not_exist():
    with pytest.raises(TeacherError, match="begins with random weights"):
        tiny.prepared(student=StudentFromTeacher(layers=(0,), weights="pretrained"))


def test_progress_tells_of_fine_tuning_and_then_of_every_row():
    reported = []
    prepare(tiny.inputs(), tiny.WORLD, lambda *what: reported.append(what))
    tuned = [what for what in reported if what[0] == "finetune"]
    rows = [what for what in reported if what[0] == "record"]
    assert reported == tuned + rows
    assert [(done, total) for _, done, total, _ in tuned] == [(0, 1), (1, 1)]
    total = sum(tiny.ROWS[role] for role in ("train", "validation", "test"))
    counts = [done for _, done, *_ in rows]
    assert counts == sorted(counts)
    assert counts[-1] == total
    assert {what[2] for what in rows} == {total}


def test_a_teacher_that_diverges_is_reported():
    model = tiny.pretrained(tiny.given().teacher)
    model.state.tensors["classifier.bias"][:] = np.nan
    with pytest.raises(TeacherError, match="not finite"):
        tiny.prepared(teacher=model, finetune=None)


def test_preparing_leaves_the_inputs_alone():
    model = tiny.pretrained(tiny.given().teacher)
    before = {n: a.copy() for n, a in model.state.tensors.items()}
    tiny.prepared(teacher=model)
    assert all(np.array_equal(before[n], a) for n, a in model.state.tensors.items())
    assert not torch.is_inference_mode_enabled()
