"""The share of the teacher that each arm bears."""

from __future__ import annotations

import dataclasses

import pytest

from raykd.results.costs import teacher_share
from tests.cases.planted_records import TASK, sweep


def test_the_arms_that_read_the_teacher_bear_it_in_equal_parts():
    result = sweep(none=[0.6, 0.61], kd=[0.7, 0.71], ckd=[0.7, 0.72])
    teacher = dataclasses.replace(result.teachers[0], seconds=60.0)
    # Search trials hold 2 devices for 10 s, confirm runs 30: half of the trials are each.
    trials = tuple(dataclasses.replace(t, device_seconds=2 * t.seconds) for t in result.trials)
    result = dataclasses.replace(result, teachers=(teacher,), trials=trials)
    shares = {arm: teacher_share(result, TASK, arm) for arm in result.arms}
    assert shares == pytest.approx({"none": 0.0, "kd": 60.0, "ckd": 60.0})


def test_an_arm_bears_its_part_of_every_teacher_that_it_may_learn_from():
    result = sweep(none=[0.6, 0.61], kd=[0.7, 0.71], ckd=[0.7, 0.72])
    given = result.teachers[0]
    teachers = tuple(
        dataclasses.replace(given, name=name, seconds=seconds)
        for name, seconds in (("a", 60.0), ("b", 600.0), ("both", 6.0))
    )
    methods = {
        "none": {"method": "none"}, "kd": {"method": "kd", "fixed": {"teacher": "a"}},
        "ckd": {"method": "ckd", "domains": {"teacher": {"choices": ["b", "both"]}}},
    }  # fmt: skip
    spec = {**result.spec, "methods": methods, "teachers": {"both": {"mean": {"a": 1, "b": 2}}}}
    trials = tuple(dataclasses.replace(t, device_seconds=t.seconds) for t in result.trials)
    result = dataclasses.replace(result, teachers=teachers, trials=trials, spec=spec)
    shares = {arm: teacher_share(result, TASK, arm) for arm in result.arms}
    assert shares == pytest.approx({"none": 0.0, "kd": 30.0, "ckd": 636.0})


def test_without_a_teacher_there_is_nothing_to_bear():
    result = dataclasses.replace(sweep(none=[0.6], kd=[0.7]), teachers=())
    assert teacher_share(result, TASK, "kd") == 0.0
