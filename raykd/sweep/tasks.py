"""The tasks of a sweep, by the names its file gives them."""

from __future__ import annotations

from raykd import registry
from raykd.data.base import Task
from raykd.spec.schema import SweepSpec


def task_of(spec: SweepSpec, name: str) -> Task:
    """The task that a search space means by a name.

    Raises:
        UnknownName: There is none.
    """
    assert name in spec.tasks
    found: Task = registry.load("tasks", name)
    return found
