"""Chance, teachers that know less, and rows in two splits: what a report has to say of them."""

from __future__ import annotations

import dataclasses

import pytest

from raykd.report.sections import verdict as verdict_section
from tests.cases.planted_records import caveats, sweep, with_record

# ----------------------------------------------------------------------- chance and the teacher


def test_one_class_for_every_row_is_known_by_its_scores():
    result = sweep(none=[0.6, 0.61, 0.6], kd=[0.485, 0.515, 0.515])
    result = with_record(result, constant={"test": [0.485, 0.515], "validation": [0.5, 0.5]})
    actual = caveats(result)["one-class"]
    assert actual.arm == "kd"
    assert "3 of 3" in actual.message
    assert "48.5, 51.5" in actual.message
    assert "51.5" in verdict_section.record(result).tasks[0].measure


def test_one_run_that_scores_what_a_constant_does_may_be_chance():
    constant = {"test": [0.485, 0.515]}
    for scores in ([0.515], [0.515, 0.6, 0.61], [0.515, 0.485, 0.6, 0.61, 0.62]):
        result = with_record(sweep(none=[0.6] * len(scores), kd=scores), constant=constant)
        assert "one-class" not in caveats(result)


def test_a_macro_f1_that_one_class_cannot_have_is_not_called_one_class():
    result = sweep(metric="f1_macro", none=[0.928, 0.928, 0.928], kd=[0.9, 0.92, 0.91])
    result = with_record(result, constant={"test": [0.17, 0.16, 0.15]})
    actual = caveats(result)
    assert "one-class" not in actual
    assert "class" not in actual["same-value"].message


@pytest.mark.parametrize(
    ("metric", "constant", "score", "code", "says"),
    [
        ("accuracy", [0.48, 0.52], 0.02, "teacher-below-chance", "id2label"),
        ("accuracy", [0.48, 0.52], 0.47, "weak-teacher", "id2label"),  # loaded, and at chance
        ("accuracy", [0.33, 0.34, 0.33], 0.58, "weak-teacher", "longer"),
        ("matthews", [0.0, 0.0], -0.8, "teacher-below-chance", "id2label"),
        ("matthews", [0.0, 0.0], -0.05, "weak-teacher", "id2label"),
        ("spearman", [], -0.8, "teacher-below-chance", "the other way"),
        ("accuracy", [], 0.02, "weak-teacher", "longer"),  # an older run: nothing is known
    ],
)
def test_a_teacher_below_chance_has_its_classes_mixed_up(metric, constant, score, code, says):
    result = sweep(metric=metric, teacher=score, none=[0.6, 0.61, 0.6], kd=[0.5, 0.52, 0.51])
    loaded = tuple(dataclasses.replace(t, rows=0) for t in result.teachers)
    result = with_record(result, constant={"test": constant})
    actual = caveats(dataclasses.replace(result, teachers=loaded))
    assert len({"teacher-below-chance", "weak-teacher"} & set(actual)) == 1
    assert says in actual[code].hint


# ----------------------------------------------------------------------------- rows in two splits


def test_rows_in_two_splits_are_caveats_with_their_number():
    shared = {
        "validation in train": [3, 249],
        "test in train": [12, 277],
        "test_mismatched in validation": [1, 300],
        "train with another label": [10, 2241],
    }
    actual = caveats(with_record(sweep(none=[0.6] * 3, kd=[0.7] * 3), shared=shared))
    assert actual["test-in-train"].message.startswith("12 of 277 test rows (4.3 %) occur among")
    assert actual["validation-in-train"].message.startswith("3 of 249 validation rows (1.2 %)")
    assert "in the validation split" in actual["test-mismatched-in-validation"].message
    assert "contradictory-rows" not in actual  # 0.4 % of them
    many = {"train with another label": [30, 2241]}
    actual = caveats(with_record(sweep(none=[0.6] * 3, kd=[0.7] * 3), shared=many))
    assert actual["contradictory-rows"].message.startswith("30 of 2,241 train rows (1.3 %)")


def test_the_same_rows_under_two_names_are_the_same_rows():
    result = sweep(none=[0.6] * 3, kd=[0.7] * 3)
    every = with_record(result, shared={"test in validation": [277, 277]})
    assert "validation-is-test" in caveats(every)
    assert "test-in-validation" not in caveats(every)
    with_shared_rows = with_record(result, shared={"test_mismatched in validation": [300, 300]})
    assert "test-mismatched-in-validation" in caveats(with_shared_rows)
    some = with_record(result, shared={"test in validation": [4, 277]})
    assert "validation-is-test" not in caveats(some)
    assert "4 of 277" in caveats(some)["test-in-validation"].message
