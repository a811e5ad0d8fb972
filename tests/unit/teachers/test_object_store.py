"""What is shared and how a write to it is noticed; the object store itself is tested with Ray."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from raykd import registry
from raykd.errors import TrialError
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers.object_store import TeacherHandle, checksum_of, verify
from raykd.teachers.prepared_task import PreparedTask
from tests.unit.teachers import tiny


def shared(**changes) -> tuple[TeacherHandle, PreparedTask]:
    """A prepared task of one's own, and the handle it was published with."""
    prepared = copy.deepcopy((tiny.prepared(**changes) if changes else tiny.ready())[0])
    handle = TeacherHandle(
        task=registry.load("tasks", prepared.task), fingerprint=prepared.fingerprint,
        mode="outputs", refs=(),
        store_bytes=1, stored={}, metrics={}, checksum=checksum_of(prepared),
    )  # fmt: skip
    return handle, prepared


def test_what_nobody_wrote_to_passes():
    verify(*shared())


@pytest.mark.parametrize(
    "written",
    [
        lambda p: p.cached_outputs.parts["logits"].chunks[0],
        lambda p: p.cached_outputs.parts["hidden_states/2"].chunks[-1],
        lambda p: p.splits["train"].labels,
        lambda p: p.splits["test"].input_ids,
    ],
    ids=["logits", "hidden states", "labels", "tokens"],
)
def test_a_write_in_place_fails_the_trial_and_says_what_to_look_for(written):
    handle, prepared = shared()
    torch.from_numpy(written(prepared))[-1].add_(1)
    with pytest.raises(TrialError, match="teacher of toy/sentiment were written to") as caught:
        verify(handle, prepared)
    assert "add_" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"mode": "weights"}, lambda p: p.teacher.state),
        (
            {"student": StudentFromTeacher(layers=(0,), weights="finetuned")},
            lambda p: p.student.state,
        ),
    ],
    ids=["teacher", "student"],
)
def test_a_write_to_shared_weights_is_noticed(changes, state):
    handle, prepared = shared(**changes)
    torch.from_numpy(state(prepared).tensors["classifier.weight"]).mul_(2)
    with pytest.raises(TrialError):
        verify(handle, prepared)


def test_training_on_a_built_student_leaves_the_shared_weights_alone():
    handle, prepared = shared(student=StudentFromTeacher(layers=(0,), weights="finetuned"))
    model = prepared.student.build(seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    verify(handle, prepared)


def test_the_chunks_belong_to_what_is_shared():
    handle, prepared = shared()
    few = {"logits": prepared.cached_outputs.parts["logits"]}
    without = replace(prepared, cached_outputs=replace(prepared.cached_outputs, parts=few))
    assert checksum_of(without) != handle.checksum
