"""Reads the list of tasks: names of shipped ones, and descriptions of the user's own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from raykd import registry
from raykd.data.values import same_names
from raykd.errors import SpecError
from raykd.spec.name_rules import name_problem
from raykd.spec.own_kinds import kind_problems
from raykd.spec.schema import OwnTaskSpec, Places, SourceSpec
from raykd.spec.sections import read_section
from raykd.spec.yaml_nodes import Findings, YamlEntry, YamlNode, join

_ON_HUB = re.compile(r"[\w.-]+(?:/[\w.-]+)?(?::[^/]+)?")
"""The name of a data set on the hub, with its configuration."""


class Tasks:
    """What the list says.

    Attributes:
        names: Task names in order.
        own: The user's own tasks by name.
        metrics: The metrics of each task.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.own: dict[str, OwnTaskSpec] = {}
        self.metrics: list[tuple[str, ...]] = []


def read_tasks(entry: YamlEntry | None, findings: Findings) -> Tasks:
    """Read the ``tasks`` section."""
    tasks = Tasks()
    if entry is not None and not entry.node.items:
        message = f"'tasks' must be a list of at least one task, got {entry.node.typed()}"
        one = entry.node.typed() if isinstance(entry.node.value, str) else "glue/rte"
        findings.add(entry.node.mark, "tasks", message, f"for example tasks: [{one}]")
    for k, node in enumerate(entry.node.items if entry is not None else []):
        if isinstance(node.value, dict):
            _read_own(node, f"tasks[{k}]", tasks, findings)
        elif isinstance(node.value, str):
            _read_name(node, node.value, tasks, findings)
        else:
            message = f"a task is a name, or a mapping that describes one, got {node.typed()}"
            findings.add(node.mark, "tasks", message)
    return tasks


def _read_name(node: YamlNode, name: str, tasks: Tasks, findings: Findings) -> None:
    if name in tasks.names:
        findings.add(node.mark, "tasks", f"task '{name}' is listed twice")
        return
    tasks.names.append(name)
    try:
        metrics = getattr(registry.load("tasks", name), "metrics", None)
        if not isinstance(metrics, tuple):
            raise SpecError(f"TASK of '{name}' is no raykd.data.base.Task: it has no metrics")
        tasks.metrics.append(metrics)
    except SpecError as exc:
        findings.add(node.mark, "tasks", exc.message, exc.hint)


def _read_own(node: YamlNode, path: str, tasks: Tasks, findings: Findings) -> None:
    made = read_section(OwnTaskSpec, YamlEntry(node.mark, node), path, findings)
    if made is None:
        return
    for key, message, hint in _problems(made, tasks):
        entry = node.entries.get(key)
        mark = node.mark if entry is None else entry.node.mark
        findings.add(mark, join(path, key) if entry is not None else path, message, hint)
        return
    tasks.names.append(made.name)
    tasks.own[made.name] = made
    tasks.metrics.append(made.all_metrics())


def _problems(made: OwnTaskSpec, tasks: Tasks) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a description: the key, the words, and what to do."""
    name = f"task '{made.name}'"
    if wrong := name_problem(made.name):
        yield "name", f"a task's name {wrong}", ""
    if made.name in registry.names("tasks"):
        yield "name", f"'{made.name}' is a task of raykd", "choose another name"
    if made.name in tasks.names:
        yield "name", f"{name} is listed twice", ""
    yield from _place_problems(made, name)
    yield from _column_problems(made, name)
    yield from kind_problems(made)


def _place_problems(made: OwnTaskSpec, name: str) -> Iterator[tuple[str, str, str]]:
    """What is wrong with where the rows are."""
    if made.sources and (made.path is not None or made.hub is not None):
        yield "sources", f"{name} has sources, or one path or hub, not both", "remove one of them"
        return
    for k, source in enumerate(made.all_sources()):
        at = f"sources[{k}]." if made.sources else ""
        what = f"source {k + 1} of {name}" if made.sources else name
        if source.path is None and source.hub is None:
            key = f"sources[{k}]" if made.sources else ""
            yield key, f"{what} needs either path or hub", "e.g. path: data/reviews"
        if source.path is not None and source.hub is not None:
            yield f"{at}hub", f"{what} needs either path or hub, not both", "remove one of them"
        if source.hub is not None and not _ON_HUB.fullmatch(source.hub):
            hint = "for example hub: owner/ratings, or owner/ratings:small"
            message = f"'hub' of {what} must be NAME or NAME:CONFIGURATION, got {source.hub}"
            yield f"{at}hub", message, hint
        yield from _hub_problems(source, what, at)
        if source.path is not None and "" in _paths(source.path):
            yield f"{at}path", f"'path' of {what} is empty", ""
        if source.path is not None and not source.path:
            yield f"{at}path", f"'path' of {what} names no file", ""
        if isinstance(source.path, Mapping) and "train" not in source.path:
            hint = "path: {train: [a.csv, b.csv], validation: c.csv}"
            yield f"{at}path", f"'path' of {what} names no files of train", hint
    yield from _split_problems(made, name)


def _hub_problems(source: SourceSpec, what: str, at: str) -> Iterator[tuple[str, str, str]]:
    """Keys of a data set of the hub where there is none."""
    if source.hub is not None:
        return
    if source.revision is not None:
        message = f"{what} has a revision, which only data sets of the hub have"
        yield f"{at}revision", message, "remove it"
    if source.stream:
        yield f"{at}stream", f"{what} is streamed, which only data sets of the hub are", "remove it"


def _split_problems(made: OwnTaskSpec, name: str) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the names or the shares of splits."""
    fractions, names = made.fractions(), made.split_names()
    if fractions and names:
        message = f"'splits' of {name} has names and fractions"
        yield "splits", message, "names are of files, fractions of one set of rows"
    if fractions and sum(fractions.values()) > 1 + 1e-9:
        message = f"'splits' of {name} adds up to {sum(fractions.values()):g}, expected at most 1"
        yield "splits", message, "e.g. splits: {train: 0.8, validation: 0.1, test: 0.1}"
    if fractions and "train" not in fractions:
        yield "splits", f"'splits' of {name} has no share of train", "e.g. {train: 0.9, test: 0.1}"
    if fractions and any(
        source.path is None or isinstance(source.path, Mapping) for source in made.all_sources()
    ):
        message = f"'splits' of {name} has fractions, and its rows are not one set"
        yield (
            "splits",
            message,
            "fractions are of files that are named without a split: path: a.csv",
        )
    trained = names.get("train", "train")
    for split, file in names.items():
        if split != "train" and file == trained:
            hint = "for rows of train that are not trained on: data.select_on and data.report_on"
            yield "splits", f"'{split}' of {name} is what it is trained on, '{trained}'", hint


def _paths(path: Places | Mapping[str, Places] | None) -> tuple[str, ...]:
    """Every path that is named."""
    if path is None or isinstance(path, str):
        return () if path is None else (path,)
    if isinstance(path, Mapping):
        return tuple(each for of in path.values() for each in _paths(of))
    return tuple(path)


def _column_problems(made: OwnTaskSpec, name: str) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the names of columns and classes."""
    for key in ("label", "prompt", "context", "response", "messages"):
        if getattr(made, key) == "":
            yield key, f"'{key}' of {name} is empty", ""
    for key in ("texts", "labels"):
        values: tuple[str, ...] = getattr(made, key)
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            yield key, f"'{key}' of {name} lists '{twice[0]}' twice", "remove one of them"
        if "" in values:
            yield key, f"'{key}' of {name} has an empty name", ""
    for one, other in same_names(made.labels):
        message = f"'labels' of {name} lists {one!a} and {other!a}, which a file can hold as one"
        yield "labels", message, "call one of them something else, here and in the data"
    if made.label in made.texts:
        yield "label", f"'{made.label}' is the label of {name} and one of its texts", ""
