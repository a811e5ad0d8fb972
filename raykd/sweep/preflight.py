"""Checks the data and models of a whole sweep before anything is started."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raykd.data.base import Examples
from raykd.data.notes import listening
from raykd.data.row_roles import is_selecting
from raykd.data.unlabelled_files import unlabelled_count
from raykd.errors import RaykdError, Unreachable
from raykd.spec.descriptions import describe_data
from raykd.spec.schema import SweepSpec
from raykd.sweep.loggers import check_loggers
from raykd.task_setup.named_teachers import check_same_students, set_up_named, teacher_names
from raykd.task_setup.set_up import load_roles, setup_notes
from raykd.task_setup.tasks import task_of
from raykd.task_setup.teacher_plan import plan_teacher

ASSUMED_STORE_BYTES = 1 << 40
"""Bytes for cached outputs: what a cluster has room for is not known before there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskPreflight:
    """The result of the preflight check of one task.

    Attributes:
        task: Its name.
        source: Where its rows come from.
        rows: Rows by role; empty when they could not be looked at.
        without_label: Train rows without a label, which are among them.
        notes: What a user should know of them.
        missing: Why rows or models could not be looked at; empty when they were.
    """

    task: str
    source: str
    rows: Mapping[str, int]
    without_label: int = 0
    notes: tuple[str, ...] = ()
    missing: str = ""


def preflight(spec: SweepSpec) -> tuple[list[TaskPreflight], list[RaykdError]]:
    """Set up every task as a sweep does, and continue after a task that cannot be set up.

    A model or data set on a hub that cannot be reached is no fault of the search space.

    Returns:
        What was found of each task, and every error.
    """
    seen: list[TaskPreflight] = []
    errors: list[RaykdError] = []
    try:
        check_loggers(spec)
    except RaykdError as exc:
        errors.append(exc)
    for task in spec.tasks:
        try:
            seen.append(_check_task(spec, task))
        except RaykdError as exc:
            if not any(str(exc) == str(other) for other in errors):
                errors.append(exc)
    return seen, errors


def _check_task(spec: SweepSpec, task: str) -> TaskPreflight:
    """One task: its rows and models, or only its rows, or neither."""
    source = describe_data(spec, task)
    try:
        setups = [set_up_named(spec, task, name) for name in teacher_names(spec)]
        for setup in setups:
            # Nothing is known of what was not queried or combined yet.
            if setup.questions is None and not setup.spec.teacher.members:
                plan_teacher(setup.spec, setup, ASSUMED_STORE_BYTES)
        check_same_students(task, setups)
    except Unreachable as exc:
        missing = exc.message
    else:
        notes = dict.fromkeys(message for one in setups for message, _ in setup_notes(one))
        return _preflight_of(task, source, setups[0].rows, notes)
    try:
        with listening() as heard:
            rows = load_roles(task_of(spec, task), spec, task)
    except Unreachable as exc:
        return TaskPreflight(task=task, source=source, rows={}, missing=exc.message)
    return _preflight_of(task, source, rows, heard, missing)


def _preflight_of(
    task: str, source: str, rows: Mapping[str, Examples], notes: Iterable[str], missing: str = ""
) -> TaskPreflight:
    """Rows by role; those of the searches are those of ``validation``."""
    return TaskPreflight(
        task=task,
        source=source,
        rows={role: len(part) for role, part in rows.items() if not is_selecting(role)},
        without_label=unlabelled_count(rows["train"]),
        notes=tuple(notes),
        missing=missing,
    )
