"""Reads ``search.constraints``: bounds that trained students have to keep to."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from raykd.registry import suggestion
from raykd.spec.schema_stages import Constraint
from raykd.spec.yaml_nodes import Findings, YamlEntry, YamlNode

LATENCY = "latency_ms"
MEMORY = "memory_mb"
PARAMETERS = "parameters"
COSTS = (LATENCY, MEMORY, PARAMETERS)
"""What can be measured of every student besides the metrics of its task; less is better."""

_PATH = "search.constraints"
_EXAMPLE = "for example [latency_ms <= 5, parameters <= 3e6]"
_FORM = re.compile(r"\s*([\w./-]+)\s*(<=|>=)\s*(\S+)\s*")


def shared_metrics(metrics: Sequence[Sequence[str]]) -> list[str]:
    """The metrics that all tasks have.

    Args:
        metrics: Those of each task.
    """
    return [m for m in metrics[0] if all(m in others for others in metrics)] if metrics else []


def read_constraints(
    entry: YamlEntry, metrics: Sequence[Sequence[str]], findings: Findings
) -> tuple[Constraint, ...]:
    """One bound or a list of them; a wrong one is left out.

    Args:
        entry: The key with its value.
        metrics: The metrics of each task; empty when no task could be found.
        findings: Receives the problems.
    """
    if entry.node.value is None or entry.node.value == []:
        return ()
    constraints: list[Constraint] = []
    for k, node in enumerate(entry.node.items or [entry.node]):
        where = f"{_PATH}[{k}]" if entry.node.items else _PATH
        made = _constraint(node, where, metrics, findings)
        if made is None:
            continue
        if (made.metric, made.relation) in [(c.metric, c.relation) for c in constraints]:
            message = f"'{made.metric} {made.relation}' is bounded already"
            findings.add(node.mark, where, message, "keep the tighter of them")
        constraints.append(made)
    _check_possible(constraints, entry, findings)
    return tuple(constraints)


def _constraint(
    node: YamlNode, where: str, metrics: Sequence[Sequence[str]], findings: Findings
) -> Constraint | None:
    given = node.value if isinstance(node.value, str) else ""
    matched = _FORM.fullmatch(given)
    if matched is None:
        message = f"a constraint is a metric, <= or >=, and a number, got {node.typed()}"
        findings.add(node.mark, where, message, _EXAMPLE)
        return None
    metric, relation, typed = matched.groups()
    known = [*shared_metrics(metrics), *COSTS]
    if metric not in known and metrics:
        message = f"unknown metric '{metric}' in the constraint '{given.strip()}'"
        hint = suggestion(metric, known) or f"one of {', '.join(known)}"
        findings.add(node.mark, where, message, hint)
        return None
    try:
        bound = float(typed)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        message = f"the bound of '{metric}' must be a number, got '{typed}'"
        findings.add(node.mark, where, message, _EXAMPLE)
        return None
    if metric in COSTS and (bound < 0 or (bound == 0 and relation == "<=")):
        message = f"no student has {metric} {relation} {typed}: it is above 0"
        findings.add(node.mark, where, message, _EXAMPLE)
        return None
    whole = int(bound) if bound.is_integer() else bound
    return Constraint.model_validate({"metric": metric, "relation": relation, "bound": whole})


def _check_possible(
    constraints: Sequence[Constraint], entry: YamlEntry, findings: Findings
) -> None:
    """Refuse two bounds of a metric that leave nothing between them."""
    for least in (c for c in constraints if c.relation == ">="):
        for most in (c for c in constraints if c.relation == "<=" and c.metric == least.metric):
            if least.bound > most.bound:
                message = f"nothing is both {least} and {most}"
                findings.add(entry.node.mark, _PATH, message, "swap the bounds")
