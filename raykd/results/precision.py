"""Checks that the trials of a comparison used the same numeric precision."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.results.arm_teachers import label, teachers_of_task
from raykd.results.caveat import Caveat
from raykd.results.records import Status, SweepResult
from raykd.results.summary import ArmSummary, named

MAX_PRECISION_ERROR = 0.05
"""A teacher whose outputs differ more from those in float32 is another teacher."""


def teacher_precision(
    result: SweepResult, task: str, arms: tuple[ArmSummary, ...]
) -> Iterator[Caveat]:
    """Teachers whose outputs suffered from the precision that they ran in."""
    for teacher in teachers_of_task(result, task):
        errors = teacher.precision_error
        large = {name: error for name, error in errors.items() if not error <= MAX_PRECISION_ERROR}
        if not large:
            continue
        shown = ", ".join(f"{name} by {100 * error:.2g} %" for name, error in large.items())
        place = f"teachers.{teacher.name}" if teacher.name else "teacher"
        yield Caveat(
            code="teacher-precision",
            task=task,
            message=f"The {label(teacher.name)} ran in {teacher.frozen_precision}, which changes "
            f"its {shown} against fp32 (more than {MAX_PRECISION_ERROR:.0%}).",
            hint=f"set {place}.precision: fp32",
        )


def mixed_precision(
    result: SweepResult, task: str, arms: tuple[ArmSummary, ...]
) -> Iterator[Caveat]:
    """Trials that ran in different precisions, where precision was not searched."""
    trials = [t for t in result.trials if t.task == task and t.precision]
    trials = [t for t in trials if "precision" not in t.searched]
    for stage in ("confirm", "search"):
        by_format: dict[str, list[str]] = {}
        for trial in trials:
            if trial.stage == stage and trial.status is Status.COMPLETED:
                by_format.setdefault(trial.precision, []).append(trial.arm)
        if len(by_format) < 2:
            continue
        counts = "; ".join(
            f"{name}: " + ", ".join(f"{named(a)} {names.count(a)}" for a in dict.fromkeys(names))
            for name, names in sorted(by_format.items())
        )
        yield Caveat(
            code="mixed-precision",
            task=task,
            message=f"Not all {stage} trials computed in the same number format ({counts}).",
            hint="the run was continued on other devices; set train.precision, and start again",
        )
        return
