"""How fast a teacher is next to the initial student is measured once, and never alone."""

from __future__ import annotations

import logging

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
    assert (speed.rows, prepared.untimed) == (30, "")
    assert (speed.device, speed.threads) == ("CPU", torch.get_num_threads())
    buffers = 8 * 2 * tiny.LENGTH  # positions and token types, which are no weights
    assert speed.teacher_bytes == 4 * sum(a.size for a in state.tensors.values()) + buffers
    assert speed.student_bytes == 4 * prepared.student.parameters() + buffers


@pytest.mark.parametrize("is_deep", [True, False])
def test_the_model_of_many_layers_is_the_slower_one(is_deep):
    given = tiny.inputs(student_precision="fp32")
    deep, flat = (tiny.factory(300, layers=layers, hidden=16) for layers in (16, 1))
    teacher, student = (deep, flat) if is_deep else (flat, deep)
    speed = measure_speed(given, teacher.build(0), student, tiny.WORLD.device).speed
    ratio = speed.teacher_ms / speed.student_ms
    assert (ratio if is_deep else 1 / ratio) > 2


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([((2.0, 4.0, 6.0), (1.0, 1.0, 1.0))], (4.0, 1.0, 4.0, 4.0, 3)),
        ([((6.0, 6.0), (1.0, 1.0)), ((4.0, 4.0), (2.0, 2.0))], (5.0, 1.5, 2.0, 6.0, 4)),
        # The medians over all rows may lie further apart than those of any turn.
        ([((4.0,), (1.0,)), ((5.0,), (1.0,)), ((5.0,), (1.25,))], (5.0, 1.0, 4.0, 5.0, 3)),
        ([((9.0,), (9.0,)), ((4.0,), (2.0,)), ((8.0,), (1.0,))], (8.0, 2.0, 1.0, 8.0, 3)),
        ([((1.0,), (2.0,)), ((3.0,), (6.0,)), ((8.0,), (1.0,))], (3.0, 2.0, 0.5, 8.0, 3)),
        ([((3.0,), (1.0,)), ((3.0,), (6.0,)), ((2.0,), (6.0,))], (3.0, 6.0, 1 / 3, 3.0, 3)),
    ],
)
def test_times_are_medians_over_rows_and_the_range_is_that_of_turns(turns, expected, monkeypatch):
    given = tiny.inputs(student_precision="fp32")
    times = [TurnTimes(*turn) for turn in turns]
    monkeypatch.setattr(speed_module, "latencies_by_turns", lambda one, other: times)
    speed = measure_speed(given, given.teacher.build(0), given.student, tiny.WORLD.device).speed
    actual = (speed.teacher_ms, speed.student_ms, speed.low, speed.high, speed.rows)
    assert actual == pytest.approx(expected)


@pytest.mark.parametrize(
    ("error", "untimed"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "memory was not enough for both"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory was not enough for"),
        (RuntimeError("no kernel in /home/of/somebody"), "a pass ended with RuntimeError"),
        (ValueError("a shape"), "a pass ended with ValueError"),
    ],
)
def test_an_error_costs_the_measurement_alone_and_its_reason_is_kept(
    error, untimed, monkeypatch, caplog
):
    def fails(one, other):
        raise error

    monkeypatch.setattr(speed_module, "latencies_by_turns", fails)
    given = tiny.inputs(student_precision="fp32")
    with caplog.at_level(logging.DEBUG, logger="raykd.teachers.speed"):
        timing = measure_speed(given, given.teacher.build(0), given.student, tiny.WORLD.device)
    assert timing.speed is None
    assert timing.untimed.startswith(untimed)
    assert "/home" not in timing.untimed
    assert str(error) in caplog.text


def test_a_device_without_the_precision_of_students_prepares_the_teacher(monkeypatch):
    monkeypatch.setattr(device_module, "has_bf16", lambda device: False)
    prepared, state = tiny.prepared(student_precision="bf16")
    assert (prepared.metrics.keys(), prepared.speed) == (tiny.ready()[0].metrics.keys(), None)
    assert state.tensors
    assert prepared.untimed.startswith("train.precision is bf16, but this CPU")


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
    speed = measure_speed(given, given.teacher.build(0), given.student, tiny.WORLD.device).speed
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


def test_a_teacher_that_is_spread_over_ranks_is_not_timed(tmp_path):
    """With one rank, too: its name in the cache knows no ranks."""
    assert SPEED not in cache_keys_of(tiny.inputs(sharded=True), tiny.words()).parts
    first = tiny.through(tmp_path, tiny.inputs(sharded=True))
    assert (first.made.speed, first.prepared.speed) == (None, None)
    again = tiny.through(tmp_path, tiny.inputs(sharded=True))
    assert again.made is None
    for prepared in (first.prepared, again.prepared):
        assert prepared.untimed.startswith("teacher.sharding is full")
