"""Reads the ``train`` and ``methods`` sections: constants, domains, conditions and start points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from raykd import registry
from raykd.errors import SpecError, UnknownName
from raykd.params import ParamInfo, Scalar, describe, unknown_key
from raykd.registry import METHODS_WITHOUT_TEACHER, suggestion
from raykd.spec.domains import same_value
from raykd.spec.name_rules import name_problem
from raykd.spec.schema import ArmSpec, ParameterSpec
from raykd.spec.search_values import ParsedParameters, check_conditions, check_constant, read_value
from raykd.spec.sections import is_section, unknown_keys
from raykd.spec.size_section import student_infos
from raykd.spec.yaml_nodes import Findings, YamlEntry, YamlNode, join
from raykd.training.settings import RowSettings, TrainSettings

RESERVED = ("method", "start")
MOST_BUILT = 20_000
"""Combinations of parameters of all arms together that are tried out before a sweep."""


def train_infos() -> dict[str, ParamInfo]:
    """The settings of training by name."""
    return {info.name: info for info in describe(TrainSettings)}


def read_train(entry: YamlEntry, findings: Findings) -> ParsedParameters:
    """Read the ``train`` section."""
    values = ParsedParameters()
    if not is_section(entry, "train", findings):
        return values
    infos = train_infos()
    meant = unknown_keys(entry.node.entries, infos, "train", findings)
    for name, value in entry.node.entries.items():
        if name in infos:
            read_value(name, value, "train", infos[name], values, findings)
    check_conditions(values, infos, "train", "train", meant, findings)
    return values


def read_methods(
    entry: YamlEntry, train: ParsedParameters, findings: Findings
) -> dict[str, ArmSpec]:
    """Read the ``methods`` section; an arm without teacher is added when the file has none.

    An arm whose value is ``false`` is left out.

    Args:
        entry: The section.
        train: The ``train`` section; start points may name what it searches.
        findings: Receives the problems.
    """
    arms: dict[str, ArmSpec] = {}
    if not entry.node.entries:
        words = "must name at least one method"
        if entry.node.value is not None and not isinstance(entry.node.value, dict):
            words = "must be a mapping (method: parameters)"
        message = f"'methods' {words}, got {entry.node.typed()}"
        findings.add(entry.node.mark, "methods", message, _as_mapping(entry.node))
        return arms
    for name, block in entry.node.entries.items():
        if block.node.value is False:  # switched off, e.g. by --set methods.kd=false
            continue
        arm = _read_arm(name, block, train, findings)
        if arm is not None:
            arms[name] = arm
    for name, arm in arms.items():
        _check_together(arm, entry.node.entries[name], MOST_BUILT // len(arms), findings)
    if not any(arm.method in METHODS_WITHOUT_TEACHER for arm in arms.values()):
        name = (
            METHODS_WITHOUT_TEACHER[0]
            if METHODS_WITHOUT_TEACHER[0] not in entry.node.entries
            else "no-teacher"
        )
        arms[name] = ArmSpec(name=name, method=METHODS_WITHOUT_TEACHER[0])
    return arms


def _as_mapping(node: YamlNode) -> str:
    """How to write the methods that were given as a list, or as one name."""
    named = [item.typed() for item in node.items or [node] if isinstance(item.value, str)]
    shown = ", ".join(f"{name}: {{}}" for name in named or ["none", "kd"])
    return f"for example methods: {{{shown}}}"


def _read_arm(
    arm: str, block: YamlEntry, train: ParsedParameters, findings: Findings
) -> ArmSpec | None:
    path = join("methods", arm)
    if wrong := name_problem(arm):
        findings.add(block.mark, path, f"the name of an arm {wrong}")
        return None
    if not is_section(block, path, findings):
        return None
    method = _method_of(arm, block, path, findings)
    if method is None:
        return None
    before = findings.count
    infos = arm_infos(method)
    values, meant = ParsedParameters(), set[str]()
    for name, entry in block.node.entries.items():
        if name in infos:
            read_value(name, entry, path, infos[name], values, findings)
        elif name not in RESERVED:
            meant |= _unknown_parameter(name, entry, method, path, infos, findings)
    check_conditions(values, infos, arm, path, meant, findings)
    start = _read_start(arm, method, block, values, train, infos, findings)
    if findings.count > before:
        return None
    return ArmSpec(name=arm, method=method, fixed=values.fixed, domains=values.domains, start=start)


def arm_infos(method: str) -> dict[str, ParamInfo]:
    """The parameters that an arm of a method may set or search."""
    own = describe(registry.params_of("methods", method))
    return {info.name: info for info in (*own, *describe(RowSettings))}


def _method_of(arm: str, block: YamlEntry, path: str, findings: Findings) -> str | None:
    """The method of an arm, when there is one of that name."""
    named = block.node.entries.get("method")
    method, mark, place = arm, block.mark, path
    if named is not None:
        mark, place = named.node.mark, join(path, "method")
        if not isinstance(named.node.value, str):
            findings.add(mark, place, f"'method' must be text, got {named.node.typed()}")
            return None
        method = named.node.value
    from raykd.methods.base import Method

    try:
        method_class = registry.load("methods", method)
        if not isinstance(method_class, type) or not issubclass(method_class, Method):
            raise SpecError(f"METHOD of '{method}' is not a subclass of raykd.methods.base.Method")
        describe(registry.params_of("methods", method))
    except SpecError as exc:
        hint = exc.hint
        if named is None and isinstance(exc, UnknownName):
            hint += "; an arm with a name of its own says  method: NAME"
        findings.add(mark, place, exc.message, hint)
        return None
    return method


def _unknown_parameter(
    name: str,
    entry: YamlEntry,
    method: str,
    path: str,
    infos: Mapping[str, ParamInfo],
    findings: Findings,
) -> set[str]:
    if findings.full:
        findings.add(entry.mark, join(path, name), "there is no such parameter")
        return set()
    problem = unknown_key(name, tuple(infos.values()), f"method '{method}'", method)
    hint = problem.hint
    if name in train_infos():
        hint = f"'{name}' is a setting of training and stands under train"
    findings.add(entry.mark, join(path, name), problem.message, hint)
    close = suggestion(name, list(infos))
    return {known for known in infos if close.endswith(f"'{known}'?")}


def _read_start(
    arm: str,
    method: str,
    block: YamlEntry,
    values: ParsedParameters,
    train: ParsedParameters,
    infos: Mapping[str, ParamInfo],
    findings: Findings,
) -> tuple[Mapping[str, Scalar], ...]:
    """The points that are tried first, each checked against what is searched."""
    entry = block.node.entries.get("start")
    if entry is None or entry.node.value is None:
        return ()
    path = f"methods.{arm}.start"
    if entry.node.value == []:
        return ()
    if not all(isinstance(node.value, dict) for node in entry.node.items) or not entry.node.items:
        message = f"'start' must be a list of points, got {entry.node.typed()}"
        findings.add(entry.node.mark, path, message, "for example  start: [{alpha: 0.9}]")
        return ()
    points: list[Mapping[str, Scalar]] = []
    both = {**train_infos(), **student_infos(), **infos}
    for k, node in enumerate(entry.node.items):
        place = f"{path}[{k}]"
        point: dict[str, Scalar] = {}
        for name, value in node.entries.items():
            side = values if name in infos else train
            if name not in both:
                _unknown_parameter(name, value, method, place, infos, findings)
            elif check_constant(value.node, join(place, name), both[name], findings):
                _check_point(name, value, place, arm, side, findings)
                point[name] = value.node.scalar()
        _check_active(point, node.entries, values, place, findings)
        points.append(point)
    return tuple(points)


def _check_point(
    name: str, entry: YamlEntry, place: str, arm: str, side: ParsedParameters, findings: Findings
) -> None:
    where, value = join(place, name), entry.node.scalar()
    if name in side.domains:
        domain = side.domains[name]
        if not domain.contains(value):
            message = f"'{name}' is searched in {domain.describe()}, got {entry.node.text}"
            findings.add(entry.node.mark, where, message, "widen the domain or change the point")
    elif name in side.fixed:
        if not same_value(side.fixed[name], value):
            typed = side.entries[name].node.text
            message = f"'{name}' is set to {typed}, so no point can have {entry.node.text}"
            findings.add(entry.node.mark, where, message, "search it, or leave it out of the point")
    elif name not in side.entries:
        message = f"'{name}' is not searched, so a start point cannot set it"
        findings.add(entry.mark, where, message, f"give {arm} a domain for it, or set it")


def _check_active(
    point: Mapping[str, Scalar],
    entries: Mapping[str, YamlEntry],
    values: ParsedParameters,
    place: str,
    findings: Findings,
) -> None:
    """A point may not set what its own other values switch off."""
    chosen = {**values.fixed, **point}
    for name in point:
        domain = values.domains.get(name)
        if domain is None:
            continue
        for other, wanted in domain.when.items():
            if other in chosen and not same_value(chosen[other], wanted):
                condition = values.entries[name].node.entries["when"].node.entries[other].node.text
                message = f"'{name}' is used only when '{other}' is {condition}"
                findings.add(entries[name].mark, join(place, name), message)


def _check_together(arm: ArmSpec, block: YamlEntry, most: int, findings: Findings) -> None:
    """Let the method's own checks see every combination of choices, or the first `most`."""
    from raykd.spec.arms import combinations, parameters

    path = join("methods", arm.name)
    for values in itertools.islice(combinations(arm, ends=False), max(most, 1)):
        try:
            parameters(arm.method, values)
        except SpecError as exc:
            for problem in exc.problems():
                own = block.node.entries.get(problem.path, block)
                findings.add(own.mark, join(path, problem.path), problem.message, problem.hint)
            return


def as_params(values: ParsedParameters) -> ParameterSpec:
    """The ``train`` section as the schema holds it."""
    return ParameterSpec(fixed=values.fixed, domains=values.domains)
