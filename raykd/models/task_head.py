"""The task's head in a configuration: kind of task, width of the logits, names of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raykd.data.task_kinds import kind_of_problem, task_kind

TASK_KIND = "task_kind"
"""Entry of a configuration that names the kind of task where the library has no word for it."""


def with_task(config: Any, kind: str, num_labels: int, labels: Sequence[str] = ()) -> Any:
    """Write the task's head into a configuration, and return it.

    Args:
        config: The configuration.
        kind: Kind of task.
        num_labels: Width of the logits.
        labels: Names of the classes, in the order of the logits. Only classes have names; without
            them a model for classes keeps its own, where it has as many.
    """
    config.num_labels = num_labels
    names = list(labels) if task_kind(kind).has_class_names else _unnamed(num_labels)
    if names:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: k for k, name in enumerate(names)}
    setattr(config, TASK_KIND, kind)
    if problem_type := task_kind(kind).problem_type:
        config.problem_type = problem_type
    return config


def _unnamed(count: int) -> list[str]:
    """The library's names of outputs that have none."""
    return [f"LABEL_{k}" for k in range(count)]


def kind_of(config: Mapping[str, Any]) -> str:
    """The kind of task that `with_task` wrote into a configuration."""
    if TASK_KIND in config:
        return str(config[TASK_KIND])
    return kind_of_problem(config.get("problem_type")).name
