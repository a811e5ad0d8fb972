"""Models on their way from a slot to the driver: files of the run folder, where both reach it.

A slot writes under a name of its attempt; the driver gives what it accepts its real name. A slot
that does not reach the run folder passes the weights through the object store.
"""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from raykd.errors import SetupError
from raykd.models import weights
from raykd.models.file_arrays import in_memory
from raykd.models.weights import ModelState
from raykd.teachers.prepared_parts import PreparedParts
from raykd.trial.coordinator import answer
from raykd.trial.run import TrialConfig

_DRAFT = ".draft"


def draft_of(folder: Path) -> Path:
    """A new name next to the folder of a model."""
    return folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:12]}{_DRAFT}")


def hand_over(
    coordinator: Any, config: TrialConfig, student: ModelState | None
) -> str | tuple[Any, ...] | None:
    """Where the driver finds a trained student: a folder, or a reference to an object.

    Args:
        coordinator: Handle of the coordinator actor.
        config: The trial.
        student: The student, None where it is not kept.
    """
    if student is None:
        return None
    assert config.save_path is not None
    draft = _save_draft(student, Path(config.save_path))
    if draft is not None:
        return str(draft)
    key = f"{config.trial_id}/student"
    answer(coordinator.put.remote(key, student))
    ref: tuple[Any, ...] = answer(coordinator.read.remote(key))
    return ref


def _save_draft(state: ModelState, folder: Path) -> Path | None:
    """A student next to its folder in the run folder; None where that is out of reach or full."""
    if not folder.parents[2].is_dir():
        return None
    draft = draft_of(folder)
    try:
        weights.save(state, draft)
    except SetupError:  # the driver says what is wrong when it writes there
        shutil.rmtree(draft, ignore_errors=True)
        return None
    return draft


def accept(draft: Path, folder: Path) -> None:
    """Give a student its real name, in the place of an earlier one; drafts next to it go.

    Raises:
        SetupError: The run folder cannot be written.
    """
    try:
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
    except OSError as exc:
        raise SetupError(
            f"cannot write the model to {folder}: {exc.strerror or exc}",
            hint="is the run folder still there?",
        ) from exc
    clear(folder.parent)


def clear(parent: Path) -> None:
    """Delete the drafts in a folder: their writers are gone, or were not listened to."""
    for left in parent.glob(f"*{_DRAFT}"):
        shutil.rmtree(left, ignore_errors=True)


def in_files(made: PreparedParts, folder: Path) -> PreparedParts:
    """What was made of a teacher with all weights in files of a folder, if that is within reach.

    Args:
        made: It.
        folder: A new folder below the run folder.
    """
    if not folder.parent.is_dir():
        return made

    def moved(state: ModelState, name: str) -> ModelState:
        is_in_files = not any(True for _ in in_memory(state.tensors))
        return state if is_in_files else weights.move_to(state, folder / name)

    state, student = made.state, made.student
    try:
        if state is not None:
            state = moved(state, "teacher")
        if student is not None and student.state is not None:
            student = replace(student, state=moved(student.state, "student"))
    except SetupError:  # the driver says what is wrong when it writes there
        shutil.rmtree(folder, ignore_errors=True)
        return made
    return replace(made, state=state, student=student)
