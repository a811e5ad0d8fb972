"""Caveats about the data and the teacher: evaluation rows, training rows, teacher quality."""

from __future__ import annotations

import math
from collections.abc import Iterator

from raykd.results.arm_teachers import label, own_score, teachers_of_task
from raykd.results.caveat import Caveat
from raykd.results.records import SweepResult, TeacherRecord
from raykd.results.summary import (
    ArmSummary,
    metric_of,
    no_teacher_arm,
    rows_of,
    scale_of,
)

MIN_CONTRADICTORY = 0.01
CONTRADICTORY = "train with another label"
CHANCE_ERRORS = 3.0  # standard errors from the score of a constant answer, that are no chance
_ORDER = "compare id2label in its config.json with the task's labels"


def same_split(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Whether the search saw the rows of the test split."""
    record = result.task(task)
    count, of = record.shared.get("test in validation", (0, 0))
    if record.select_on == record.report_on or 0 < of == count:
        rows = of or rows_of(result, task)
        same = f"{rows:,} rows" if rows else "rows"
        yield Caveat(
            code="validation-is-test",
            task=task,
            message=f"Validation and test split are the same {same} ({record.report_on}).",
            hint="the numbers are too high; give data.select_on and data.report_on other splits",
        )


def shared_rows(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Rows that occur in two splits, and train rows that contradict each other."""
    record = result.task(task)
    whole = record.select_on == record.report_on
    for what, (count, of) in record.shared.items():
        split, _, place = what.partition(" in ")
        if not place or (what == "test in validation" and (whole or count == of)):
            continue  # said by the caveat on equal splits, or below
        why = "part of the score is memory"
        if split == "validation":
            why = "the search prefers what learnt these rows by heart"
        elif place == "validation":
            why = "rows that chose the winner judge it, too"
        yield Caveat(
            code=f"{split.replace('_', '-')}-in-{place}",
            task=task,
            message=describe_shared_rows(what, count, of),
            hint=f"{why}; remove them from one side",
        )
    count, of = record.shared.get(CONTRADICTORY, (0, 0))
    if of and count / of >= MIN_CONTRADICTORY:
        yield Caveat(
            code="contradictory-rows",
            task=task,
            message=describe_shared_rows(CONTRADICTORY, count, of),
            hint="no model can be right on all of them; look at the labels",
        )


def _percent(share: float) -> str:
    """``4.3 %``, ``100 %``."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def describe_shared_rows(what: str, count: int, of: int) -> str:
    """The sentence: ``12 of 277 test rows (4.3 %) occur among the rows that are trained on``.

    Args:
        what: A key of `TaskRecord.shared`.
        count: Rows that occur twice.
        of: Rows of the split.
    """
    share = f"{count:,} of {of:,}", _percent(count / of)
    if what == CONTRADICTORY:
        return f"{share[0]} train rows ({share[1]}) occur again with another label."
    split, _, place = what.partition(" in ")
    places = {
        "train": "among the rows that are trained on",
        "validation": "in the validation split",
    }
    return f"{share[0]} {split} rows ({share[1]}) occur {places[place]}, too."


def weak_teacher(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Teachers no better than a student without one, or with permuted classes."""
    none = no_teacher_arm(arms)
    split = "test" if none is not None and none.confirmed else "validation"
    alone = None
    if none is not None:
        alone = none.score if none.confirmed else (none.best.objective if none.best else None)
    for teacher in teachers_of_task(result, task):
        score = own_score(result, teacher, split)
        if score is not None:
            yield from _weak(result, teacher, score, split, alone)


def _weak(
    result: SweepResult, teacher: TeacherRecord, score: float, split: str, alone: float | None
) -> Iterator[Caveat]:
    """What is wrong with the score of one teacher, next to that of a student without one."""
    task, name = teacher.task, label(teacher.name)
    scale, mode = scale_of(result, task), metric_of(result, task)[1]
    chance = _chance(result, task, split) if mode == "max" else None
    if chance is not None and score < chance[0]:
        yield Caveat(
            code="teacher-below-chance",
            task=task,
            message=(
                f"The {name} ({scale.show(score)}) is far below what the same answer for every "
                "row scores."
            ),
            hint=f"its classes are probably in another order than the labels of the task: {_ORDER}"
            if result.task(task).constant.get(split)
            else "its scores probably run the other way than those of the task",
        )
        return
    if alone is None or not (score >= alone if mode == "min" else score <= alone):
        return
    hint = "train the teacher longer or on more rows; there is little to distil"
    if not teacher.rows and chance is not None and score <= chance[1]:
        hint = f"it may have some classes in another order than the labels of the task: {_ORDER}"
    yield Caveat(
        code="weak-teacher",
        task=task,
        message=(
            f"The {name} ({scale.show(score)}) is not better than a student without one "
            f"({scale.show(alone)})."
        ),
        hint=hint,
    )


def _chance(result: SweepResult, task: str, split: str) -> tuple[float, float] | None:
    """The interval of scores consistent with chance; None where that is not known."""
    scale, rows = scale_of(result, task), rows_of(result, task, split)
    if not rows or not scale.per_row:
        return None
    if scale.low < 0:  # a correlation, which is 0 by chance, give or take 1 / sqrt(rows)
        return -CHANCE_ERRORS / math.sqrt(rows), CHANCE_ERRORS / math.sqrt(rows)
    constant = result.task(task).constant.get(split, ())
    if not constant:
        return None
    low, high = min(constant), max(constant)
    return low - CHANCE_ERRORS * _error(low, rows), high + CHANCE_ERRORS * _error(high, rows)


def _error(share: float, rows: int) -> float:
    """The standard error of a share over rows."""
    return math.sqrt(max(share * (1 - share), 0.0) / rows)


def teacher_rows(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Teachers trained on more rows than their students."""
    train = result.task(task).rows.get("train", 0)
    known = {t.name: t.rows for t in teachers_of_task(result, task)}
    for name, rows in (known or {"": result.task(task).rows.get("teacher", 0)}).items():
        if rows > train > 0:
            yield Caveat(
                code="teacher-saw-more",
                task=task,
                message=f"The {label(name)} was trained on {rows:,} rows, the students on "
                f"{train:,}.",
                hint="part of any gain is the teacher's extra data; a student without teacher had "
                "no access to it",
            )


def rationale_in_prompt(
    result: SweepResult, task: str, arms: tuple[ArmSummary, ...]
) -> Iterator[Caveat]:
    """Rationales as part of the prompts."""
    if result.spec["data"].get("rationales", {}).get("as_input"):
        yield Caveat(
            code="rationale-input",
            task=task,
            message="Rationales are part of every prompt, also of those that are scored: whoever "
            "wrote them has seen the question, and perhaps the answer, so it may leak into the "
            "prompt.",
            hint="the scores hold only where such a rationale is at hand when the student is used; "
            "step_by_step learns from rationales without needing them then",
        )
