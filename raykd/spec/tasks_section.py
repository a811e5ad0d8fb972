"""Reads the list of tasks: names of shipped ones, and descriptions of the user's own."""

from __future__ import annotations

from raykd import registry
from raykd.errors import UnknownName
from raykd.spec.method_section import NAME
from raykd.spec.nodes import Entry, Findings, Node
from raykd.spec.schema import OwnTaskSpec
from raykd.spec.sections import read_section


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


def read_tasks(entry: Entry | None, findings: Findings) -> Tasks:
    """Read the ``tasks`` section."""
    tasks = Tasks()
    if entry is not None and not entry.node.items:
        message = f"'tasks' must be a list of at least one task, got {entry.node.typed()}"
        findings.add(entry.node.mark, "tasks", message, "for example tasks: [glue/rte]")
    for node in entry.node.items if entry is not None else []:
        if isinstance(node.value, dict):
            _read_own(node, tasks, findings)
        elif isinstance(node.value, str):
            _read_name(node, node.value, tasks, findings)
        else:
            message = f"a task is a name, or a mapping that describes one, got {node.typed()}"
            findings.add(node.mark, "tasks", message)
    return tasks


def _read_name(node: Node, name: str, tasks: Tasks, findings: Findings) -> None:
    if name in tasks.names:
        findings.add(node.mark, "tasks", f"task '{name}' is listed twice")
        return
    tasks.names.append(name)
    try:
        tasks.metrics.append(tuple(registry.load("tasks", name).metrics))
    except UnknownName as exc:
        findings.add(node.mark, "tasks", exc.message, exc.hint)


def _read_own(node: Node, tasks: Tasks, findings: Findings) -> None:
    made = read_section(OwnTaskSpec, Entry(node.mark, node), "tasks", findings)
    if made is None:
        return
    wrong = _problem(made, tasks)
    if wrong:
        findings.add(node.mark, "tasks", *wrong)
        return
    tasks.names.append(made.name)
    tasks.own[made.name] = made
    tasks.metrics.append(made.all_metrics())


def _problem(made: OwnTaskSpec, tasks: Tasks) -> tuple[str, str] | None:
    """What is wrong with a description, and what to do."""
    if not NAME.fullmatch(made.name):
        return f"a task's name has letters, digits, '_' and '-', got '{made.name}'", ""
    if made.name in registry.names("tasks"):
        return f"'{made.name}' is a task of raykd", "choose another name"
    if made.name in tasks.names:
        return f"task '{made.name}' is listed twice", ""
    if (made.path is None) == (made.hub is None):
        return f"task '{made.name}' needs either path or hub", "e.g. path: data/reviews"
    if made.kind == "classification" and len(made.labels) < 2:
        return f"task '{made.name}' needs labels", "e.g. labels: [negative, positive]"
    if made.kind == "regression" and made.labels:
        return f"task '{made.name}' is a regression, which has no labels", "remove labels"
    suited = OwnTaskSpec.SUITED[made.kind]
    for metric in made.all_metrics():
        if metric not in suited:
            return f"'{metric}' is no metric of {made.kind}", f"one of {', '.join(suited)}"
    return None
