from __future__ import annotations

from dataclasses import replace

from raykd.report.sections import teacher, unlabelled
from raykd.results.records import UNLABELLED, SweepResult

USES = {"none": "no", "kd": "yes", "ckd": "no"}


def with_rows(result: SweepResult, uses: dict[str, str] = USES) -> SweepResult:
    """The run with rows without a label on its first task; ckd is kd without them."""
    first, *others = result.tasks
    rows = {**first.rows, "train": 300, UNLABELLED: 200}
    methods = dict(result.spec["methods"])
    methods["ckd"] = {**methods["kd"], "name": "ckd", "fixed": {"unlabelled": False}}
    spec = {**result.spec, "methods": methods}
    return replace(result, tasks=(replace(first, rows=rows, unlabelled=uses), *others), spec=spec)


def test_a_run_with_labels_alone_has_no_section(result: SweepResult):
    assert unlabelled.record(result) is None


def test_it_names_who_learnt_from_them_and_compares_arms_that_differ_in_that(result: SweepResult):
    actual = unlabelled.record(with_rows(result))
    assert actual is not None
    assert actual.heading.startswith("200 train rows have no label")
    learnt = {row[1]: row[2:4] for row in actual.rows}
    assert learnt["none"] == ("left out", "100")
    assert learnt["kd"] == ("learnt through the teacher", "300")
    (message,) = actual.pairs
    assert "with them kd is at" in message
    assert "against ckd" in message
    assert message in unlabelled.render(actual)


def test_an_arm_that_searches_it_is_not_compared(result: SweepResult):
    actual = unlabelled.record(with_rows(result, {**USES, "kd": "some"}))
    assert actual is not None
    assert {row[1]: row[2:4] for row in actual.rows}["kd"] == ("searched", "100 or 300")
    assert actual.pairs == ()


def test_a_teacher_whose_outputs_were_given_has_no_weights(result: SweepResult):
    first, *others = result.teachers
    given = replace(first, parameters=0, rows=0, metrics={}, forwards=0, distinct=0, cached=True)
    actual = teacher.record(replace(result, teachers=(given, *others)))
    assert actual is not None
    row = dict(zip(actual.columns, actual.rows[0], strict=True))
    assert (row["weights"], row["scores"], row["preparation"]) == ("n/a", "n/a", "made elsewhere")
    assert row["trained on rows"] == "n/a (its outputs were given)"
