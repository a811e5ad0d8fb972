"""The tasks of a sweep, by the names its file gives them."""

from __future__ import annotations

from raykd import registry
from raykd.data.base import Task
from raykd.data.own import HUB_SPLITS, OwnTask
from raykd.spec.schema import OwnTaskSpec, SweepSpec


def task_of(spec: SweepSpec, name: str) -> Task:
    """The task that a search space means by a name.

    Raises:
        UnknownName: There is none.
    """
    own = spec.own_tasks.get(name)
    if own is not None:
        return own_task(own)
    found: Task = registry.load("tasks", name)
    return found


def own_task(own: OwnTaskSpec) -> OwnTask:
    """The task that a description makes."""
    path, _, config = (own.hub or "").partition(":")
    splits = own.splits if own.path is not None else {k: k for k in HUB_SPLITS} | dict(own.splits)
    metrics = own.all_metrics()
    return OwnTask(
        name=own.name,
        about="A task of this search space.",
        texts=own.texts,
        label=own.label,
        labels=own.labels,
        kind=own.kind,
        span=(float(own.span[0]), float(own.span[1])),
        metric=metrics[0],
        metrics=metrics,
        hub=(path, config or "default"),
        hub_splits=splits,
        path=own.path,
    )
