"""Which classes arms get right: recall, precision, and what rows are taken for."""

from __future__ import annotations

import dataclasses

import pytest

from raykd.report.sections.classes import record, render
from raykd.results.class_scores import class_scores
from raykd.results.records import SweepResult
from tests.cases.planted_records import TASK, sweep, with_record

# 8 rows of a, 4 of b; two runs.
RUNS = (((6, 2), (1, 3)), ((8, 0), (3, 1)))


def recorded(*runs: tuple[tuple[int, ...], ...], classes: tuple[str, ...]) -> SweepResult:
    """A sweep whose confirm runs of each arm have these counts."""
    scores = [0.7 + k / 100 for k in range(len(runs))]
    result = with_record(sweep(none=scores, kd=scores), classes=classes)
    trials = [
        dataclasses.replace(t, confusion=runs[int(t.trial_id.rpartition(".")[2]) - 11])
        if t.stage == "confirm"
        else t
        for t in result.trials
    ]
    return dataclasses.replace(result, trials=tuple(trials))


def test_recall_precision_and_confusions_are_those_of_the_counts():
    a, b = class_scores(recorded(*RUNS, classes=("a", "b")), TASK, "kd")
    assert (a.name, a.rows, b.rows) == ("a", 8, 4)
    assert a.recall == pytest.approx((6 / 8 + 8 / 8) / 2)
    assert a.sd == pytest.approx(0.25 / 2**0.5)
    assert a.precision == pytest.approx(14 / 18)  # 6 + 8 of 7 + 11 answers
    assert a.taken_for == (("b", pytest.approx(1 / 8)),)
    assert b.recall == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert b.taken_for == (("a", pytest.approx(2 / 4)),)


def test_the_page_names_the_class_that_is_hardest():
    actual = record(recorded(*RUNS, classes=("a", "b")))
    assert actual.heading == f"{TASK}: no teacher gets 50.0 % of b right and 87.5 % of a"
    ((_, rows),) = actual.tables
    assert rows[0] == ("none", "a", "8", "87.5 ± 17.7 %", "77.8 %", "b 12.5 %")
    assert "17.7" in render(actual)


def test_a_class_without_rows_or_answers_has_no_share():
    one, two, three = class_scores(
        recorded(((4, 0, 0), (2, 0, 0), (0, 0, 0)), classes=("a", "b", "c")), TASK, "kd"
    )
    assert (one.recall, two.recall) == (1.0, 0.0)
    assert two.precision != two.precision
    assert three.recall != three.recall
    assert three.taken_for == ()


def test_runs_without_counts_have_no_section():
    assert record(sweep(none=[0.6, 0.61], kd=[0.7, 0.71])) is None
    assert record(recorded(*RUNS, classes=("a", "b", "c"))) is None
