"""Looks at data and models of a whole sweep before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raykd.errors import DataError, RaykdError, Unreachable
from raykd.spec.schema import SweepSpec
from raykd.sweep.gather import Gathered, gather
from raykd.sweep.serving import inputs_of
from raykd.sweep.words import data_in_words

ROOM = 1 << 40
"""Bytes for recorded outputs: what a cluster has room for is not known before there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What was found of a task.

    Attributes:
        task: Its name.
        source: Where its rows come from.
        rows: Rows by role; empty when they could not be looked at.
        missing: Why data or models could not be looked at; empty when they were.
    """

    task: str
    source: str
    rows: Mapping[str, int]
    missing: str = ""


def gather_all(spec: SweepSpec) -> dict[str, Gathered]:
    """Every task with its rows and models, checked.

    Raises:
        RaykdError: As `gather`; what is wrong with a task's data names the task's place.
    """
    return {task: _gather(spec, task) for task in spec.tasks}


def look(spec: SweepSpec) -> tuple[list[Seen], list[RaykdError]]:
    """Gather every task as a sweep does, and go on where one cannot be.

    What lies on a hub that cannot be reached is no fault of the search space.

    Returns:
        What was found of each task, and every error.
    """
    seen: list[Seen] = []
    errors: list[RaykdError] = []
    for task in spec.tasks:
        source = data_in_words(spec, task)
        try:
            gathered = _gather(spec, task)
            inputs_of(spec, gathered, ROOM)
        except Unreachable as exc:
            seen.append(Seen(task=task, source=source, rows={}, missing=exc.message))
        except RaykdError as exc:
            if not any(str(exc) == str(other) for other in errors):
                errors.append(exc)
        else:
            rows = {role: len(part) for role, part in gathered.rows.items()}
            seen.append(Seen(task=task, source=source, rows=rows))
    return seen, errors


def _gather(spec: SweepSpec, task: str) -> Gathered:
    try:
        return gather(spec, task)
    except DataError as exc:
        raise exc.at(f"tasks[{spec.tasks.index(task)}]") from exc
