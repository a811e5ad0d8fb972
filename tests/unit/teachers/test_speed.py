"""How fast a teacher is next to the initial student is measured once, and never alone."""

from __future__ import annotations

import pytest
import torch

from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers import speed as speed_module
from raykd.teachers.cache_keys import SPEED, cache_keys_of
from raykd.teachers.speed import measure_speed
from raykd.training import device as device_module
from raykd.training.inference import inference_pass
from raykd.training.latency import TurnTimes
from tests.unit.teachers import tiny

SMALLER = tiny.factory(300, layers=1, hidden=4)


def test_teacher_and_student_are_timed_where_the_teacher_is_prepared():
    prepared, state = tiny.ready()
    speed = prepared.speed
    assert speed.rows == 30
    assert 0 < speed.low <= speed.teacher_ms / speed.student_ms <= speed.high
    assert (speed.device, speed.threads) == ("CPU", torch.get_num_threads())
    buffers = 8 * 2 * tiny.LENGTH  # positions and token types, which are no weights
    assert speed.teacher_bytes == 4 * sum(a.size for a in state.tensors.values()) + buffers
    assert speed.student_bytes == 4 * prepared.student.parameters() + buffers


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_run_in_the_precision_of_the_student(precision, monkeypatch):
    """In another one of its own, a wide teacher would be slower, or faster, by that alone."""
    given, formats = tiny.inputs(student_precision=precision), []

    def by_turns(one, other):
        for timed in (one, other):
            with inference_pass(timed.model, timed.setup):
                weight = torch.ones(2, 2)
                formats.append((weight @ weight).dtype)
        return [TurnTimes((2.0, 4.0), (1.0, 1.0))]

    monkeypatch.setattr(speed_module, "latencies_by_turns", by_turns)
    monkeypatch.setattr(device_module, "has_bf16", lambda device: True)
    speed = measure_speed(given, given.teacher.build(0), given.student, tiny.WORLD.device)
    assert formats == [{"fp32": torch.float32, "bf16": torch.bfloat16}[precision]] * 2
    assert (speed.precision, speed.low, speed.high, speed.rows) == (precision, 3.0, 3.0, 2)


def test_students_that_are_made_of_the_teacher_are_timed_as_they_begin():
    cut, _ = tiny.prepared(student=StudentFromTeacher(layers=(1,), weights="finetuned"))
    assert cut.speed.teacher_bytes == tiny.ready()[0].speed.teacher_bytes
    layer = tiny.ready()[0].parameters - cut.student.parameters()
    assert cut.speed.teacher_bytes - cut.speed.student_bytes == 4 * layer > 0


def test_the_cache_keeps_it_for_this_student(tmp_path):
    first = tiny.kept(tmp_path)
    again = tiny.through(tmp_path, tiny.inputs())
    assert again.made is None
    assert again.prepared.speed == first.prepared.speed


def test_no_teacher_is_opened_for_it_alone(tmp_path):
    first = tiny.kept(tmp_path)
    other = tiny.through(tmp_path, tiny.inputs(student=SMALLER))
    assert other.keys.parts[SPEED] != first.keys.parts[SPEED]
    assert (other.made, other.prepared.speed) == (None, None)


def test_it_is_measured_with_another_student_once_something_else_is_made(tmp_path):
    first = tiny.kept(tmp_path)
    more = tiny.inputs(student=SMALLER, output_spec=tiny.output_spec((0, 1, 2)))
    other = tiny.through(tmp_path, more)
    assert set(other.lookup.missing) == {SPEED, "recorded/hidden_states/1"}
    assert other.prepared.speed.student_bytes < first.prepared.speed.student_bytes
    assert tiny.through(tmp_path, tiny.inputs(student=SMALLER)).prepared.speed == (
        other.prepared.speed
    )


def test_students_that_differ_in_weights_alone_share_it():
    given = tiny.given().student
    names = [
        cache_keys_of(tiny.inputs(student=tiny.pretrained(given, seed)), tiny.words()).parts[SPEED]
        for seed in (1, 2)
    ]
    assert names[0] == names[1]


def test_a_teacher_that_is_spread_over_ranks_is_not_timed():
    assert SPEED not in cache_keys_of(tiny.inputs(sharded=True), tiny.words()).parts
