"""The confirmed students of a run whose files are there: of every task, arm and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raykd.errors import SpecError
from raykd.models.weight_files import is_whole_model
from raykd.results.confirmed import confirm_seed
from raykd.results.records import SweepResult, TrialResult
from raykd.results.reported_runs import no_student, runs_with_student
from raykd.results.student_mark import is_student_of


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedStudent:
    """A confirmed student.

    Attributes:
        trial: The confirm run that saved it.
        seed: Its confirm seed.
        folder: Its files.
    """

    trial: TrialResult
    seed: int
    folder: Path


def saved_students(
    result: SweepResult, run: Path, arms: Sequence[str] = ()
) -> tuple[SavedStudent, ...]:
    """All students that can be loaded, of the configurations that arms are reported by.

    Args:
        result: The records of the run.
        run: Its folder.
        arms: Those that are wanted; none for all.

    Raises:
        SpecError: There is no such arm, no student, or none of an arm that was named.
    """
    if unknown := [arm for arm in arms if arm not in result.arms]:
        raise SpecError(
            f"the run has no arm '{unknown[0]}'", hint=f"arms: {', '.join(result.arms)}"
        )
    kept = [
        t
        for task in result.tasks
        for arm in arms or result.arms
        for t in runs_with_student(result, task.name, arm)
    ]
    having = {t.arm for t in kept}
    for (_, arm), reason in without_student(result, arms).items():
        if arm not in having and (arm in arms or not kept):
            raise reason
    students = tuple(
        SavedStudent(trial=t, seed=confirm_seed(t), folder=run / t.checkpoint)
        for t in kept
        if is_whole_model(run / t.checkpoint) and is_student_of(run / t.checkpoint, t)
    )
    if not students:
        raise SpecError(
            f"{run} has no confirmed student{' whose files are whole and its own' if kept else ''}",
            hint="students are kept by the confirm stage: raykd sweep --resume RUN",
        )
    return students


def without_student(
    result: SweepResult, arms: Sequence[str] = ()
) -> dict[tuple[str, str], SpecError]:
    """Why a student is missing: of each task and arm that was confirmed and has none.

    Args:
        result: The records of the run.
        arms: Those that are wanted; none for all.
    """
    return {
        (task.name, arm): no_student(result, task.name, arm)
        for task in result.tasks
        for arm in arms or result.arms
        if result.of(task.name, arm, "confirm") and not runs_with_student(result, task.name, arm)
    }
