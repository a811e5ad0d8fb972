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
    kept = _kept(result, arms)
    students = tuple(
        SavedStudent(trial=t, seed=confirm_seed(t), folder=run / t.checkpoint)
        for t in kept
        if _not_loadable(run, t) is None
    )
    having = {student.trial.arm for student in students}
    for arm, reason in left_out(result, run, arms):
        if arm not in having and (arm in arms or not kept):
            raise reason
    if not students:
        raise SpecError(
            f"{run} has no confirmed student{' whose files are whole and its own' if kept else ''}",
            hint="students are kept by the confirm stage: raykd sweep --resume RUN",
        )
    return students


def left_out(
    result: SweepResult, run: Path, arms: Sequence[str] = ()
) -> tuple[tuple[str, SpecError], ...]:
    """The arms that lack a student, and why: one that was not kept, or that cannot be loaded.

    Args:
        result: The records of the run.
        run: Its folder.
        arms: Those that are wanted; none for all.
    """
    not_kept = [
        (arm, no_student(result, task.name, arm))
        for task in result.tasks
        for arm in arms or result.arms
        if result.of(task.name, arm, "confirm") and not runs_with_student(result, task.name, arm)
    ]
    dropped = ((t.arm, _not_loadable(run, t)) for t in _kept(result, arms))
    return (*not_kept, *((arm, reason) for arm, reason in dropped if reason is not None))


def _kept(result: SweepResult, arms: Sequence[str]) -> list[TrialResult]:
    """The runs whose records name a student."""
    return [
        t
        for task in result.tasks
        for arm in arms or result.arms
        for t in runs_with_student(result, task.name, arm)
    ]


def _not_loadable(run: Path, trial: TrialResult) -> SpecError | None:
    """Why a student that was kept is none to evaluate; None where it is."""
    folder = run / trial.checkpoint
    if not is_whole_model(folder):
        wrong = f"is not there in {folder}, or not whole"
    elif not is_student_of(folder, trial):
        wrong = f"was replaced in {folder} by that of another configuration"
    else:
        return None
    return SpecError(
        f"the student of '{trial.arm}' on {trial.task} with seed {confirm_seed(trial)} {wrong}",
        hint="raykd sweep --resume RUN confirms what is missing",
    )
