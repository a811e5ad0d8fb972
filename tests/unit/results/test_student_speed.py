"""Sentences on how much smaller and faster students are than their teacher."""

from __future__ import annotations

import dataclasses

import pytest

from raykd.results.merge import merge
from raykd.results.records import SpeedRecord, SweepResult, TeacherRecord
from raykd.results.student_speed import (
    describe_size,
    describe_speed,
    is_measurable,
    of_student,
)
from tests.cases.planted_records import sweep

SPEED = SpeedRecord(
    teacher_ms=2.612, student_ms=0.8341, low=2.94, high=3.41, teacher_bytes=69_600_000,
    student_bytes=17_500_000, precision="fp32", rows=30, device="CPU", threads=1,
)  # fmt: skip


def measured(speed: SpeedRecord | None = SPEED, **teacher: object) -> SweepResult:
    """A sweep with a student of 4 million weights and a teacher of 16 million."""
    result = sweep(none=(0.6, 0.61), kd=(0.7, 0.71))
    changes = {"parameters": 16_000_000, "speed": speed, **teacher}
    return dataclasses.replace(
        result,
        tasks=(dataclasses.replace(result.tasks[0], student_parameters=4_000_000),),
        teachers=(dataclasses.replace(result.teachers[0], **changes),),
    )


def of_teacher(result: SweepResult) -> tuple[SweepResult, TeacherRecord]:
    return result, result.teachers[0]


def with_sizes(result: SweepResult, *sizes: int) -> SweepResult:
    """The same with trials whose students were counted."""
    counted = [
        dataclasses.replace(t, metrics={**t.metrics, "parameters": float(n)})
        for t, n in zip(result.trials, sizes * len(result.trials), strict=False)
    ]
    return dataclasses.replace(result, trials=tuple(counted))


def test_ratios_stand_next_to_what_they_are_made_of():
    result, teacher = of_teacher(measured())
    assert describe_size(result, teacher) == (
        "the student has 4,000,000 parameters and the teacher 16,000,000: the student is 4.0 "
        "times smaller"
    )
    assert describe_speed(result, teacher) == (
        "A row takes the student 0.834 ms and the teacher 2.61 ms: the student is 3.1 times faster "
        "(2.9 to 3.4 by turn). That is on a CPU with 1 thread in fp32 over 30 rows; the weights "
        "take 17.5 MB and 69.6 MB there."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"low": 0.98, "high": 3.2},
         "the student is neither faster nor slower for sure (0.98 to 3.20 times as fast by turn)."),
        ({"teacher_ms": 0.4, "low": 0.4, "high": 0.5},
         "the student is 2.1 times slower (2.0 to 2.5 by turn)"),
        ({"teacher_ms": 0.85, "low": 1.01, "high": 1.04},
         "the student is about as fast as the teacher (1.01 to 1.04 times as fast by turn)"),
        ({"teacher_ms": 0.81, "low": 0.96, "high": 0.99},
         "the student is about as fast as the teacher (0.96 to 0.99 times as fast by turn)"),
        ({"teacher_ms": 83.41, "low": 90.2, "high": 1234.5}, "100 times faster (90 to 1,234 by"),
        ({"teacher_ms": 2500.0}, "and the teacher 2.5 s"),
        ({"device": "GPU (H200)"}, "on a GPU (H200) in fp32"),
        ({"threads": 8}, "on a CPU with 8 threads in fp32"),
        ({"precision": ""}, "That is on a CPU with 1 thread over 30 rows;"),
    ],
)  # fmt: skip
def test_it_says_no_more_than_was_measured(changes, words):
    result, teacher = of_teacher(measured(dataclasses.replace(SPEED, **changes)))
    assert words in describe_speed(result, teacher)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (4_000_000, "the student is as large as the teacher"),
        (4_100_000, "the student is about as large as the teacher"),
        (3_900_000, "the student is about as large as the teacher"),
        (4_300_000, "the student is 1.1 times smaller"),
        (2_000_000, "the student is 2.0 times larger"),
    ],
)
def test_no_student_is_one_time_smaller(parameters, words):
    assert describe_size(*of_teacher(measured(parameters=parameters))).endswith(f": {words}")


def test_a_size_that_is_searched_is_a_range_and_only_the_whole_student_was_timed():
    result, teacher = of_teacher(with_sizes(measured(), 1_000_000, 4_000_000))
    assert describe_size(result, teacher) == (
        "students have 1,000,000 to 4,000,000 parameters and the teacher 16,000,000: the largest "
        "is 4.0 times smaller, the smallest 16 times smaller"
    )
    assert "A row takes the student that they are made from 0.834 ms" in describe_speed(
        result, teacher
    )
    small = next(t for t in result.trials if t.metrics["parameters"] == 1e6)
    assert of_student(result, small, teacher) == "16 times smaller"


def test_the_card_of_a_student_has_both():
    result, teacher = of_teacher(measured())
    assert of_student(result, result.trials[0], teacher) == (
        "4.0 times smaller, 3.1 times faster (2.9 to 3.4 by turn): 0.834 ms against 2.61 ms for a "
        "row of the validation split in a batch of its own, on a CPU with 1 thread in fp32"
    )


def test_what_was_not_measured_is_said_with_the_reason():
    old, teacher = of_teacher(measured(None))
    assert describe_speed(old, teacher) == (
        "How much faster the student is was not measured: this run folder has no measurement, as "
        "those of earlier versions."
    )
    cached, teacher = of_teacher(measured(None, cached=True))
    assert "read from a cache that has no measurement with this student" in describe_speed(
        cached, teacher
    )
    assert of_student(cached, cached.trials[0], teacher) == "4.0 times smaller"
    tried = of_teacher(measured(None, untimed="memory was not enough for both", cached=True))
    assert describe_speed(*tried) == (
        "How much faster the student is was not measured: memory was not enough for both."
    )


def test_merged_runs_have_a_line_where_they_agree_on_student_and_teacher():
    one = measured(weights="w")
    again = dataclasses.replace(one, run="again")
    both = merge([one, again])
    assert is_measurable(both, both.teachers[0])
    assert "the student is 4.0 times smaller" in describe_size(both, both.teachers[0])
    task, teacher = again.tasks[0], again.teachers[0]
    for changed in (
        {"tasks": (dataclasses.replace(task, student_parameters=1_000_000),)},
        {"tasks": (dataclasses.replace(task, student="another of this size"),)},
        {"teachers": (dataclasses.replace(teacher, weights="another"),)},
    ):
        other = merge([one, dataclasses.replace(again, **changed)])
        assert not is_measurable(other, other.teachers[0])
    elsewhere = dataclasses.replace(
        again, tasks=(dataclasses.replace(task, name="glue/sst2", student_parameters=7),),
        teachers=(dataclasses.replace(teacher, task="glue/sst2"),), trials=(),
    )  # fmt: skip
    other = merge([one, elsewhere])
    assert all(is_measurable(other, t) for t in other.teachers)


def test_teachers_that_are_no_models_here_have_no_line():
    given, teacher = of_teacher(measured(None, parameters=0))
    assert not is_measurable(given, teacher)
    assert of_student(given, given.trials[0], teacher) == ""
    mean = measured(None, name="both")
    spec = {**mean.spec, "teachers": {"both": {"mean": ["one", "two"]}}}
    mean = dataclasses.replace(mean, spec=spec)
    assert not is_measurable(mean, mean.teachers[0])
    assert is_measurable(*of_teacher(measured(None)))
