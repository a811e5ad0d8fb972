"""Feasibility checks: conditions that never hold, grids that are too large, unequal epochs.

Which values an algorithm draws is its own affair: one that tries fixed points says which in a
function ``points_of(params, domain)`` of its module; any other draws from the whole domain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raykd import registry
from raykd.params import Scalar, build, show
from raykd.spec.domains import Domain, same_value
from raykd.spec.schema import ArmSpec, ParameterSpec
from raykd.spec.schema_stages import Named, SearchSpec
from raykd.spec.yaml_nodes import Findings, YamlEntry, join

MOST_COMBINATIONS = 100_000
"""Combinations of an arm that an algorithm with fixed points may have to list."""

_Points = Callable[[Domain], Sequence[Scalar]]


def check_feasible(
    methods: Mapping[str, ArmSpec],
    train: ParameterSpec,
    search: SearchSpec,
    sections: Mapping[str, YamlEntry],
    findings: Findings,
) -> None:
    """Note every condition that never holds, a grid that is too large, and unequal trainings.

    Args:
        methods: The arms that could be read.
        train: What is set and searched for all of them.
        search: How they are searched.
        sections: The file, for the places.
        findings: Receives the problems.
    """
    points = _points_of(search.algorithm)
    for name, arm in methods.items():
        block = sections["methods"].node.entries.get(name)
        if block is not None:
            _check_conditions(arm, block, join("methods", name), points, findings)
            _check_size(arm, train, points, block, search, findings)
    if "train" in sections:
        _check_conditions(train, sections["train"], "train", points, findings)
        _check_epochs(train, search, sections["train"], findings)


def _points_of(algorithm: Named) -> _Points | None:
    """The points of a domain that an algorithm tries; None when it draws from all of it."""
    function = getattr(registry.module("algorithms", algorithm.name), "points_of", None)
    if function is None:
        return None
    params: Any = build(registry.params_of("algorithms", algorithm.name), algorithm.params)
    return lambda domain: list(function(params, domain))


def _check_conditions(
    arm: ParameterSpec, block: YamlEntry, path: str, points: _Points | None, findings: Findings
) -> None:
    for name, domain in arm.domains.items():
        if name not in block.node.entries:
            continue  # of another section: an adapter's
        conditions = block.node.entries[name].node.entries.get("when")
        if conditions is None:
            continue
        for other, wanted in domain.when.items():
            why, hint = _never(arm, other, wanted, points) or _contradiction(arm, name, other)
            if why:
                mark = conditions.node.entries[other].node.mark
                message = f"'{name}' is never searched: {why}"
                findings.add(mark, f"{path}.{name}.when", message, hint)
                break


def _never(
    arm: ParameterSpec, name: str, wanted: Scalar, points: _Points | None
) -> tuple[str, str] | None:
    """Why a parameter never has a value, and what to do; None when it may."""
    if name in arm.fixed:
        if same_value(arm.fixed[name], wanted):
            return None
        why = f"'{name}' is set to {show(arm.fixed[name])}, so it is never {show(wanted)}"
        return why, f"search '{name}', or give the parameter one value"
    domain = arm.domains[name]
    if domain.kind == "choice" or not domain.contains(wanted):
        return None  # a value outside the domain was refused when the condition was read
    if points is not None:
        tried = points(domain)
        if any(same_value(point, wanted) for point in tried):
            return None
        shown = ", ".join(show(point) for point in tried[:10])
        return f"of '{name}' only the points {shown} are tried", "take one of them"
    if domain.kind in ("int", "logint", "quniform"):
        return None
    why = f"'{name}' is searched in {domain.describe()}, which never draws exactly {show(wanted)}"
    return why, f"search '{name}' with choice"


def _contradiction(arm: ParameterSpec, name: str, through: str) -> tuple[str, str]:
    """Whether conditions of a parameter, and of those it depends on, exclude each other."""
    conditions: dict[str, Scalar] = {}
    waiting, seen = [name], {name}
    while waiting:
        for other, wanted in arm.domains[waiting.pop()].when.items():
            if not same_value(conditions.setdefault(other, wanted), wanted):
                both = f"{show(conditions[other])} and {show(wanted)}"
                why = f"with the conditions of '{through}' it requires {both} of '{other}'"
                return why, "leave one of the conditions out"
            if other in arm.domains and other not in seen:
                seen.add(other)
                waiting.append(other)
    return "", ""


def _check_size(
    arm: ArmSpec,
    train: ParameterSpec,
    points: _Points | None,
    block: YamlEntry,
    search: SearchSpec,
    findings: Findings,
) -> None:
    """An algorithm with fixed points lists every combination of them before its first trial."""
    if points is None:
        return
    searched = [*arm.domains.values(), *train.domains.values()]
    size = math.prod(len(points(domain)) for domain in searched)
    if size > MOST_COMBINATIONS:
        name = search.algorithm.name
        message = f"{name} has {size:.3g} combinations of {arm.name} to list, "
        message += f"{MOST_COMBINATIONS:,} are the most"
        hint = "search fewer parameters or coarser ranges, or use algorithm: tpe"
        findings.add(block.mark, join("methods", arm.name), message, hint)


def _check_epochs(
    train: ParameterSpec, search: SearchSpec, block: YamlEntry, findings: Findings
) -> None:
    """Early stopping compares trials after equally many epochs, so they must train equally long."""
    domain = train.domains.get("epochs")
    stopping = search.scheduler.name
    if domain is None or stopping == "none" or len(domain.choices) == 1:
        return
    message = f"'epochs' is searched, and {stopping} compares trials after equally many epochs: "
    message += "there a short training is at its end, a long one has hardly begun"
    hint = "give epochs one value, or use search.scheduler: none"
    findings.add(block.node.entries["epochs"].mark, "train.epochs", message, hint)
