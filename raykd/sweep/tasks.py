"""The tasks of a sweep, by the names its file gives them."""

from __future__ import annotations

from raykd import registry
from raykd.data.base import Task
from raykd.data.folder import root_folder
from raykd.data.notes import note
from raykd.data.own import HUB_SPLITS, OwnTask
from raykd.spec.schema import OwnTaskSpec, SweepSpec


def task_of(spec: SweepSpec, name: str) -> Task:
    """The task that a name in a search space refers to.

    Raises:
        UnknownName: There is none.
    """
    own = spec.own_tasks.get(name)
    if own is not None:
        return own_task(own)
    found: Task = registry.load("tasks", name)
    return found


def check_root(spec: SweepSpec) -> None:
    """Refuse a ``data.root`` that does not exist; note one that no task reads.

    Raises:
        DataError: There is no such folder.
    """
    root = spec.data.root
    if root is None:
        return
    root_folder(root)  # also where a task has a folder of its own
    if not any(task_of(spec, name).reads_root for name in spec.tasks):
        note(f"no task of this file has rows under data.root, '{root}'")


def note_unread_splits(spec: SweepSpec, task: Task) -> None:
    """Note names of files for splits that no role has; they may be misspelt."""
    own = spec.own_tasks.get(task.name)
    read = {"train", spec.data.select_on.split, spec.data.report_on.split}
    if unread := [split for split in (own.splits if own else ()) if split not in read]:
        note(f"splits of task '{task.name}' that nothing reads: {', '.join(unread)}")


def own_task(own: OwnTaskSpec) -> OwnTask:
    """The task that a search space describes itself."""
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
