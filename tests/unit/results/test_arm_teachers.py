"""Several teachers in the results: each arm is measured against what it learnt from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from raykd.report.sections import arms as arms_section
from raykd.report.sections import metrics as metrics_section
from raykd.results.diagnose import diagnose
from raykd.results.merge import merge
from raykd.results.records import SweepResult
from raykd.results.summary import arm_summaries
from raykd.results.verdict import verdict
from tests.cases.planted_records import TASK, sweep

NONE = [0.60, 0.61, 0.60, 0.61]
KD = [0.68, 0.69, 0.69, 0.68]
CKD = [0.70, 0.71, 0.70, 0.71]
SCORES = {"small": 0.70, "large": 0.80}


def taught(
    scores: Mapping[str, float], learnt: Mapping[str, list[str]], **arms: list[float]
) -> SweepResult:
    """A sweep with teachers of these scores, and the teacher of each confirm run of each arm."""
    result = sweep(**arms)
    one = result.teachers[0]
    teachers = tuple(
        dataclasses.replace(one, name=name, weights=f"w-{name}", metrics={
            "test/accuracy": score, "validation/accuracy": score,
        }) for name, score in scores.items()
    )  # fmt: skip
    both = dataclasses.replace(one, name="both", metrics={}, parameters=0, rows=0)
    trials = []
    for trial in result.trials:
        named = learnt.get(trial.arm, [])
        if named:
            k = int(trial.trial_id.rpartition(".")[2]) - 11 if trial.stage == "confirm" else 0
            trial = dataclasses.replace(trial, params={"teacher": named[min(k, len(named) - 1)]})
        trials.append(trial)
    spec = {**result.spec, "teachers": {"small": {}, "large": {}, "both": {"mean": [*scores]}}}
    return dataclasses.replace(result, teachers=(*teachers, both), trials=tuple(trials), spec=spec)


def gaps(result: SweepResult) -> dict[str, float | None]:
    return {a.name: a.gap and a.gap.share for a in arm_summaries(result, TASK)}


def test_every_arm_recovers_the_gap_to_its_own_teacher():
    actual = gaps(taught(SCORES, {"kd": ["small"], "ckd": ["large"]}, none=NONE, kd=KD, ckd=CKD))
    assert actual["none"] is None
    assert actual["kd"] == pytest.approx((0.685 - 0.605) / (0.70 - 0.605))
    assert actual["ckd"] == pytest.approx((0.705 - 0.605) / (0.80 - 0.605))


def test_of_a_combination_the_best_member_stands_for_the_teacher():
    result = taught(SCORES, {"kd": ["small"], "ckd": ["both"]}, none=NONE, kd=KD, ckd=CKD)
    assert gaps(result)["ckd"] == pytest.approx((0.705 - 0.605) / (0.80 - 0.605))
    v = verdict(result, TASK)
    assert any("and teacher large (80.0)" in detail for detail in v.details), v.details
    made = arms_section.record(result)
    assert made is not None
    assert "the best of those that a combination is made of" in made.tasks[0].caption
    assert "the teacher small has 70.0; the teacher large has 80.0" in made.heading


def test_a_combination_that_was_scored_stands_for_itself():
    result = taught(SCORES, {"kd": ["small"], "ckd": ["both"]}, none=NONE, kd=KD, ckd=CKD)
    metrics = {"test/accuracy": 0.85, "validation/accuracy": 0.85}
    teachers = tuple(
        dataclasses.replace(t, metrics=metrics) if t.name == "both" else t for t in result.teachers
    )
    result = dataclasses.replace(result, teachers=teachers)
    assert gaps(result)["ckd"] == pytest.approx((0.705 - 0.605) / (0.85 - 0.605))
    made = arms_section.record(result)
    assert made is not None
    assert "the teacher both has 85.0" in made.heading
    assert "combination" not in made.tasks[0].caption


def test_searches_that_chose_different_teachers_have_their_mean():
    of_ckd = ["large", "large", "large", "small"]
    result = taught(SCORES, {"kd": ["small"], "ckd": of_ckd}, none=NONE, kd=KD, ckd=CKD)
    summary = {a.name: a for a in arm_summaries(result, TASK)}["ckd"]
    assert summary.teacher is not None
    # One search confirms one configuration; the first run says which.
    assert summary.teacher.names == ("large",)
    spec = {**result.spec, "search": {"repeats": 2}, "confirm": {"seeds": [1, 2]}}
    trials = []
    for trial in result.trials:
        if trial.stage == "confirm":
            k = int(trial.trial_id.rpartition(".")[2]) - 11
            place = "r2." if k > 1 else ""
            name = f"glue-rte.{trial.arm}.{place}c0.{1 + k % 2}"
            params = {"teacher": "large" if k < 2 else "small"} if trial.arm == "ckd" else {}
            params = {"teacher": "small"} if trial.arm == "kd" else params
            trial = dataclasses.replace(trial, repeat=k // 2, trial_id=name, params=params)
        trials.append(trial)
    several = dataclasses.replace(result, spec=spec, trials=tuple(trials))
    summary = {a.name: a for a in arm_summaries(several, TASK)}["ckd"]
    assert summary.teacher is not None
    assert summary.teacher.names == ("large", "small")
    assert summary.teacher.score == pytest.approx(0.75)
    assert summary.teacher.label == "teachers large and small in the mean"


def test_each_teacher_has_its_own_caveats():
    weak = {"small": 0.55, "large": 0.80}
    result = taught(weak, {"kd": ["small"], "ckd": ["large"]}, none=NONE, kd=KD, ckd=CKD)
    first, second, both = result.teachers
    second = dataclasses.replace(
        second, rows=9_000, frozen_precision="bf16", precision_error={"logits": 0.2}
    )
    result = dataclasses.replace(result, teachers=(first, second, both))
    actual = {c.code: c for c in diagnose(result)}
    assert actual["weak-teacher"].message.startswith("The teacher small (55.0) is not better")
    assert actual["teacher-saw-more"].message.startswith("The teacher large was trained on 9,000")
    assert actual["teacher-precision"].message.startswith("The teacher large ran in bf16")
    assert actual["teacher-precision"].hint == "set teachers.large.precision: fp32"
    # Whichever comes first.
    turned = dataclasses.replace(result, teachers=(both, second, first))
    assert {c.message for c in diagnose(turned)} == {c.message for c in diagnose(result)}


def test_every_teacher_has_its_row_among_the_metrics():
    result = taught(SCORES, {"kd": ["small"], "ckd": ["large"]}, none=NONE, kd=KD, ckd=CKD)
    task = dataclasses.replace(result.tasks[0], metrics=("accuracy", "f1"))
    trials = tuple(
        dataclasses.replace(t, metrics={**t.metrics, "test/f1": 0.5}) for t in result.trials
    )
    made = metrics_section.record(dataclasses.replace(result, tasks=(task,), trials=trials))
    assert made is not None
    rows = [row[0] for row in made.tables[0][2]]
    assert rows[:3] == ["teacher small", "teacher large", "teacher both"]


def test_a_run_whose_teachers_are_null_is_merged():
    one = taught(SCORES, {"kd": ["small"], "ckd": ["large"]}, none=NONE, kd=KD, ckd=CKD)
    two = dataclasses.replace(one, run="two", spec={**one.spec, "teachers": None})
    for runs in ([one, two], [two, one]):
        assert merge(runs).spec["teachers"] == one.spec["teachers"]


@pytest.mark.parametrize(
    ("changed", "names", "differs"),
    [
        ({}, ("small", "large"), False),
        ({"large": "other"}, ("small", "large"), True),  # not the first one
        ({}, ("large",), False),
        ({}, ("",), False),  # the same teacher, alone in its file
        ({"": "other"}, ("",), True),
    ],
)
def test_merged_runs_are_compared_teacher_by_teacher(changed, names, differs):
    one = taught(SCORES, {"kd": ["small"], "ckd": ["large"]}, none=NONE, kd=KD, ckd=CKD)
    kept = [t for t in one.teachers if t.name in names] or [
        dataclasses.replace(one.teachers[1], name="")
    ]
    teachers = tuple(
        dataclasses.replace(t, weights=changed.get(t.name, t.weights), fingerprint="of-its-arms")
        for t in kept
    )
    two = dataclasses.replace(one, run="two", teachers=teachers)
    codes = {c.code for c in diagnose(merge([one, two]))}
    assert ("mixed-teachers" in codes) == differs
