"""Reads the ``search`` section: algorithm, scheduler, objective, budget."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raykd import registry
from raykd.registry import suggestion
from raykd.spec.constraints import COSTS, read_constraints, shared_metrics
from raykd.spec.named_section import read_named
from raykd.spec.schema_stages import Named, Objective, SearchSpec
from raykd.spec.sections import is_section, read_section
from raykd.spec.yaml_nodes import Findings, YamlEntry, YamlNode, join

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[dhms])+")
LONGEST_S = 10 * 365 * 86400.0
"""Of a time budget; more is a slip."""

_BUDGETS = ("time_budget", "device_budget", "trial_time_limit")
_BY_HAND = ("algorithm", "scheduler", "objective", "constraints", *_BUDGETS)


def read_search(
    entry: YamlEntry | None, metrics: Sequence[Sequence[str]], findings: Findings
) -> SearchSpec | None:
    """Read the ``search`` section; None when something is wrong.

    Args:
        entry: The section, None when the file has none.
        metrics: The metrics of each task; empty when no task could be found.
        findings: Receives the problems.
    """
    if entry is None:
        return SearchSpec()
    if not is_section(entry, "search", findings):
        return None
    before = findings.count
    given = {k: e for k, e in entry.node.entries.items() if k in _BY_HAND}
    parsed: dict[str, object] = {}
    for kind, key in (("algorithms", "algorithm"), ("schedulers", "scheduler")):
        named = _read_named(kind, key, given[key], findings) if key in given else None
        if named is not None:
            parsed[key] = named
    if "objective" in given:
        parsed["objective"] = _read_objectives(given["objective"], metrics, findings)
        _check_single(given, parsed, findings)
    if "constraints" in given:
        parsed["constraints"] = read_constraints(given["constraints"], metrics, findings)
        if parsed["constraints"]:
            _check_learns(given, parsed, findings)
    for key in _BUDGETS:
        entry_of = given.get(key)
        parsed[f"{key}_s"] = None if entry_of is None else _read_budget(key, entry_of, findings)
    made = read_section(SearchSpec, entry, "search", findings, parsed=parsed, by_hand=_BY_HAND)
    concurrent = entry.node.entries.get("max_concurrent")
    limit = "auto" if made is None else made.max_concurrent
    if concurrent is not None and limit != "auto" and limit < 1:
        message = f"'max_concurrent' must be >= 1 or auto, got {concurrent.node.text}"
        findings.add(concurrent.node.mark, "search.max_concurrent", message)
    return made if findings.count == before else None


def _read_named(kind: str, key: str, entry: YamlEntry, findings: Findings) -> Named | None:
    path = join("search", key)
    named = entry.node.entries.get("name") if entry.node.entries else entry
    if named is None or not isinstance(named.node.value, str):
        got = "a mapping without 'name'" if named is None else entry.node.typed()
        message = f"'{key}' must be a name, or {{name: ..., parameters}}, got {got}"
        hint = f"raykd ls {kind} lists them"
        findings.add(entry.node.mark, path, message, hint)
        return None
    given = {name: value for name, value in entry.node.entries.items() if name != "name"}
    return read_named(kind, key, named.node, given, path, findings)


def _read_objectives(
    entry: YamlEntry, metrics: Sequence[Sequence[str]], findings: Findings
) -> tuple[Objective, ...]:
    """One objective or a list of them; a wrong one is left out."""
    path = "search.objective"
    nodes = entry.node.items or [entry.node]
    objectives: list[Objective] = []
    for k, node in enumerate(nodes):
        where = f"{path}[{k}]" if entry.node.items else path
        if not isinstance(node.value, dict):
            message = f"an objective is {{metric: ..., mode: ...}}, got {node.typed()}"
            findings.add(node.mark, where, message, "for example {metric: auto, mode: auto}")
            continue
        objective = read_section(Objective, YamlEntry(node.mark, node), where, findings)
        if objective is None:
            continue
        if objective.metric in [other.metric for other in objectives]:
            message = f"'{objective.metric}' is an objective already"
            findings.add(_metric_node(node).mark, where, message)
        _check_metric(
            objective.metric, _metric_node(node), join(where, "metric"), metrics, findings
        )
        objectives.append(objective)
    return tuple(objectives)


def _metric_node(node: YamlNode) -> YamlNode:
    return node.entries["metric"].node if "metric" in node.entries else node


def _check_metric(
    metric: str, node: YamlNode, where: str, metrics: Sequence[Sequence[str]], findings: Findings
) -> None:
    if metric in ("auto", *COSTS) or not metrics:
        return
    shared = shared_metrics(metrics)
    if metric not in shared:
        known = ["auto", *shared, *COSTS]
        every = "the task has" if len(metrics) == 1 else "all tasks have"
        message = f"unknown metric '{metric}'; {every} {', '.join(shared) or 'none in common'}"
        hint = suggestion(metric, known) or f"one of {', '.join(known)}"
        findings.add(node.mark, where, message, hint)


def _check_single(
    given: dict[str, YamlEntry], parsed: dict[str, object], findings: Findings
) -> None:
    """Early stopping needs one number to compare, and so do some algorithms."""
    objectives = parsed["objective"]
    assert isinstance(objectives, tuple)
    for key, instead in (("scheduler", "none"), ("algorithm", "tpe or nsga2")):
        named = parsed.get(key)
        if len(objectives) > 1 and isinstance(named, Named) and _needs_one(key, named.name):
            names = ", ".join(objective.metric for objective in objectives)
            message = f"{named.name} needs one objective, the file has {len(objectives)} ({names})"
            hint = f"use {key}: {instead}, or keep one objective"
            findings.add(given[key].mark, f"search.{key}", message, hint)


def _check_learns(
    given: dict[str, YamlEntry], parsed: dict[str, object], findings: Findings
) -> None:
    """An algorithm that learns from results has to learn from constraints, too."""
    named = parsed.get("algorithm")
    if isinstance(named, Named) and _says("IGNORES_CONSTRAINTS", named.name):
        message = f"{named.name} would search where constraints are broken: it knows scores alone"
        hint = "use algorithm: tpe, gp or nsga2, or remove search.constraints"
        findings.add(given["algorithm"].mark, "search.algorithm", message, hint)


def _says(what: str, algorithm: str) -> bool:
    """What the module of an algorithm says of it."""
    return bool(getattr(registry.module("algorithms", algorithm), what, False))


def _needs_one(key: str, name: str) -> bool:
    """Whether a scheduler or an algorithm does not know what to do with two objectives."""
    return name != "none" if key == "scheduler" else _says("ONE_OBJECTIVE", name)


def _read_budget(key: str, entry: YamlEntry, findings: Findings) -> float | None:
    if entry.node.value is None:
        return None
    seconds = _seconds(entry.node.value) if entry.node.is_scalar else None
    if seconds is None or not 0 < seconds <= LONGEST_S:
        message = f"'{key}' must be a duration, got {entry.node.typed()}"
        hint = "for example 6h, 1h30m, 90s, or a number of seconds"
        findings.add(entry.node.mark, join("search", key), message, hint)
        return None
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        return None
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)([dhms])", value))
