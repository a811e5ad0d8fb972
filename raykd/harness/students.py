"""The confirmed students of a run whose files are there: of every task, arm and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raykd.errors import SpecError
from raykd.models.weight_files import is_whole_model
from raykd.results.confirmed import confirm_seed
from raykd.results.records import Status, SweepResult, TrialResult


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
    """All students that can be loaded.

    Args:
        result: The records of the run.
        run: Its folder.
        arms: Those that are wanted; none for all.

    Raises:
        SpecError: There is no such arm, or no student.
    """
    if unknown := [arm for arm in arms if arm not in result.arms]:
        raise SpecError(
            f"the run has no arm '{unknown[0]}'", hint=f"arms: {', '.join(result.arms)}"
        )
    kept = [
        t for t in result.trials
        if t.stage == "confirm" and t.status is Status.COMPLETED and t.checkpoint
        if not arms or t.arm in arms
    ]  # fmt: skip
    found = tuple(
        SavedStudent(trial=t, seed=confirm_seed(t), folder=run / t.checkpoint)
        for t in kept
        if is_whole_model(run / t.checkpoint)
    )
    if not found:
        raise SpecError(
            f"{run} has no confirmed student{' whose files are whole' if kept else ''}",
            hint="students are kept by the confirm stage: raykd sweep --resume RUN",
        )
    return found
