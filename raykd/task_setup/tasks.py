"""The tasks of a sweep, by the names its file gives them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from raykd import registry
from raykd.data.base import Task
from raykd.data.folder_reader import root_folder
from raykd.data.guesses import TEXT
from raykd.data.kinds.classification import KIND as CLASSIFICATION
from raykd.data.kinds.regression import KIND as REGRESSION
from raykd.data.notes import note
from raykd.data.own import OwnTask
from raykd.data.own_sets import OwnSets
from raykd.data.own_tags import OwnTags
from raykd.data.own_text import OwnText
from raykd.data.text_pairs import OwnPairs
from raykd.data.text_scores import NAMES as SCORE_NAMES
from raykd.data.text_scores import TextMeasure, check_packages
from raykd.data.user_rows import HUB_SPLITS, RowSource
from raykd.spec.schema import OwnTaskSpec, SourceSpec, SweepSpec


def task_of(spec: SweepSpec, name: str) -> Task:
    """The task that a name in a search space refers to.

    Raises:
        UnknownName: There is none.
    """
    own = spec.own_tasks.get(name)
    if own is not None:
        return own_task(own)
    task: Task = registry.load("tasks", name)
    return task


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


def own_task(own: OwnTaskSpec) -> Task:
    """The task that a search space describes itself."""
    on_hub = any(source.hub is not None for source in own.all_sources())
    splits = ({k: k for k in HUB_SPLITS} if on_hub else {}) | own.split_names()
    metrics = own.all_metrics()
    source: dict[str, Any] = {
        "name": own.name, "about": "A task of this search space.", "metric": metrics[0],
        "metrics": metrics, "hub": _on_hub(own.hub), "hub_splits": splits, "path": own.path,
        "revision": own.revision or "", "stream": own.stream, "fractions": own.fractions(),
        "sources": tuple(_source(source, k) for k, source in enumerate(own.sources)),
    }  # fmt: skip
    return _MAKERS[own.kind](own, source)


def _source(source: SourceSpec, number: int) -> RowSource:
    return RowSource(
        path=source.path,
        hub=_on_hub(source.hub),
        revision=source.revision or "",
        stream=source.stream,
        weight=float(source.weight),
        key=f".sources[{number}]",
    )


def _on_hub(hub: str | None) -> tuple[str, str]:
    """Name and configuration of a data set on the hub."""
    path, _, config = (hub or "").partition(":")
    return path, config or "default"


def _class_task(
    own: OwnTaskSpec, source: Mapping[str, Any], made: type[OwnTask | OwnPairs] = OwnTask
) -> Task:
    """A task whose rows have a class or a score."""
    low, high = own.span
    return made(
        **source,
        texts=own.texts,
        label=own.label,
        labels=own.labels,
        kind=own.kind,
        span=(float(low), float(high)),
    )


def _set_task(own: OwnTaskSpec, source: Mapping[str, Any]) -> OwnSets:
    return OwnSets(**source, labels=own.labels, texts=own.texts, label=own.label)


def _tag_task(own: OwnTaskSpec, source: Mapping[str, Any]) -> OwnTags:
    return OwnTags(**source, labels=own.labels, words=own.texts[0], tags=own.label)


def _text_task(own: OwnTaskSpec, source: Mapping[str, Any]) -> OwnText:
    """A text task; its metrics of text are those that are not counted token by token."""
    scores = tuple(name for name in own.all_metrics() if name not in own.TALLIED)
    check_packages(scores)
    too_long = own.too_long
    if too_long == "auto":
        too_long = "context" if own.messages is None else "oldest_turns"
    cut = f"the end of the {'context' if own.context else 'prompt'}"
    return OwnText(
        **source,
        cut_first="their oldest turns" if too_long == "oldest_turns" else cut,
        text_metrics=scores,
        measure=TextMeasure(names=scores, pattern=own.pattern),
        units={name: "number" for name in scores if name not in SCORE_NAMES},
        max_new_tokens=own.max_new_tokens,
        prompt=own.prompt or "",
        context=own.context or "",
        response=own.response,
        messages=own.messages or "",
        system=own.system,
        template=own.template,
        template_args=dict(own.template_args),
        loss_on=own.loss_on,
        too_long=too_long,
        max_prompt=own.max_prompt_length,
    )


_MAKERS: Mapping[str, Callable[[OwnTaskSpec, Mapping[str, Any]], Task]] = {
    CLASSIFICATION.name: _class_task,
    REGRESSION.name: _class_task,
    OwnPairs.kind: functools.partial(_class_task, made=OwnPairs),
    OwnSets.kind: _set_task,
    OwnTags.kind: _tag_task,
    TEXT: _text_task,
}
"""What makes the task of a description, by its kind."""
