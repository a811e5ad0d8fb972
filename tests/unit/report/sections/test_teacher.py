"""What the section on the teacher says of how it was made."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raykd.report.markdown import render_markdown
from raykd.report.section import environment
from raykd.report.sections import teacher, verdict
from raykd.results.records import FinetuneTrial, SweepResult
from tests.cases import planted_records as planted

NOTE = "the prepared teacher of glue/rte in the cache does not fit: its rows differ"
SHOWN = "<li>The prepared teacher of glue/rte in the cache does not fit: its rows differ.</li>"


def test_the_search_for_its_settings_is_shown_with_its_cost(result: SweepResult):
    first, *others = result.teachers
    metric = result.tasks[0].metric
    tried = (
        FinetuneTrial(2e-5, 3, metric, 0.71, 60.0),
        FinetuneTrial(4e-5, 6, metric, 0.734, 120.0, chosen=True),
        FinetuneTrial(8e-5, 3, metric, math.nan, 60.0),
    )
    actual = teacher.record(replace(result, teachers=(replace(first, tried=tried), *others)))
    assert actual is not None
    (line,) = actual.searched
    assert line.startswith(f"{first.task}: 3 trainings of the teacher, 4 min in all, searched")
    assert "lr 4e-05, 6 epochs: 73.4 (taken); lr 8e-05, 3 epochs: diverged" in line
    assert line in teacher.render(actual)


def test_a_teacher_that_was_trained_once_has_no_search(result: SweepResult):
    actual = teacher.record(result)
    assert actual is not None
    assert actual.searched == ()


def test_where_a_teacher_came_from_stands_next_to_its_cost(result: SweepResult):
    noted = replace(result, teacher_notes=(NOTE,))
    made = teacher.record(noted)
    assert made is not None
    assert SHOWN in teacher.render(made)
    assert "does not fit" not in verdict.render(verdict.record(noted))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("the lr was lowered", "The lr was lowered."),
        ("glue/rte: 3 rows are cut.", "glue/rte: 3 rows are cut."),
        ("data.limit is small", "data.limit is small."),
        ("reviews: 3 rows", "reviews: 3 rows."),
    ],
)
def test_sentences_begin_with_a_capital_and_names_stay_as_they_are(given: str, shown: str) -> None:
    template = environment().from_string("{% import 'macros.html' as m %}{{ m.notes([n]) }}")
    assert f"<li>{shown}</li>" in template.render(n=given)


def test_of_several_teachers_each_line_says_which_and_members_count_in_combinations():
    result = planted.sweep(none=[0.6], kd=[0.7], ckd=[0.7])
    one = replace(result.teachers[0], serving="served by outputs", seconds=6.0)
    teachers = tuple(
        replace(one, name=name, **({"parameters": 0, "rows": 0} if name == "both" else {}))
        for name in ("a", "b", "both")
    )
    trials = tuple(
        replace(t, params={"teacher": {"kd": "a", "ckd": "both"}[t.arm]})
        if t.arm != "none" else t
        for t in result.trials
    )  # fmt: skip
    spec = {**result.spec, "teachers": {"a": {}, "b": {}, "both": {"mean": {"a": 1, "b": 1}}}}
    actual = teacher.record(replace(result, teachers=teachers, trials=trials, spec=spec))
    assert actual is not None
    assert actual.served == tuple(
        f"{planted.TASK} ({name}): served by outputs" for name in ("a", "b")
    )
    more = "and 2 trials (ckd) from it with others; it took 6.0 s to prepare"
    assert actual.used == (
        f"{planted.TASK}: 2 trials (kd) learnt from a, {more}",
        f"{planted.TASK}: 0 trials (no arm) learnt from b, {more}",
        f"{planted.TASK}: 2 trials (ckd) learnt from both",
    )
    of_both = dict(zip(actual.columns, actual.rows[2], strict=True))
    assert of_both["preparation"] == "combined"
    assert of_both["trained on rows"] == "n/a (others were)"


def test_the_spread_of_teachers_is_named_where_several_were_trained(result: SweepResult):
    first, *others = result.teachers
    seeds = {"seeds": 4, "seed_scores": {"1": 0.736, "2": 0.716}}
    trained = replace(result, teachers=(replace(first, **seeds), *others))
    actual = teacher.record(trained)
    assert actual is not None
    (line,) = actual.spread
    assert line == (
        f"{first.task}: 4 teachers were trained with seeds of their own. Students learnt from the "
        "one that has 72.6 (accuracy) on the test split; the others have 73.6, 71.6, and 1 "
        "diverged (standard deviation 1 points)"
    )
    assert line in teacher.render(actual)
    assert line in render_markdown(trained)
    assert teacher.record(result).spread == ()


@pytest.mark.parametrize("scores", [{"1": 0.736}, {"1": 0.726, "2": 0.726}])
def test_teachers_that_say_too_little_of_their_spread_are_reported(result: SweepResult, scores):
    first, *others = result.teachers
    changed = replace(
        first, seeds=len(scores) + 1, seed_scores=scores, metrics={"test/accuracy": 0.726}
    )
    actual = teacher.record(replace(result, teachers=(changed, *others)))
    assert actual is not None
    (line,) = actual.spread
    assert line.endswith(
        "which is too little to say how far teachers vary: intervals of the gap recovered assume "
        "no less than the spread of the students"
    )
