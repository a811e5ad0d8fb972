"""Reads a value that may be a constant or a domain, against a declared parameter."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from raykd.params import ParamInfo, Scalar, show
from raykd.registry import suggestion
from raykd.spec.domains import KINDS, Domain, Kind
from raykd.spec.hints import value_hint
from raykd.spec.yaml_nodes import Findings, YamlEntry, YamlNode, join

FITTING: Mapping[type, tuple[Kind, ...]] = {
    float: KINDS,
    int: ("int", "logint", "choice"),
    bool: ("choice",),
    str: ("choice",),
}
_OTHER_NAMES = {
    "randint": "use int: its upper end is included",
    "lograndint": "use logint: its upper end is included",
    "qrandint": "use int or choice",
    "quantized": "use quniform: [low, high, step]",
    "grid_search": "use choice",
    "categorical": "use choice",
    "values": "use choice",
}


LARGEST_END = 2**53
"""Of a range, either way: up to there every whole number has a float of its own."""

MOST_STEPS = 1_000_000
"""Of a `quniform`."""


@dataclass(slots=True)
class ParsedParameters:
    """What a section sets and searches, as it was read.

    Attributes:
        fixed: Constants.
        domains: Searched ranges.
        entries: Every declared parameter the file names, also those whose value is wrong.
    """

    fixed: dict[str, Scalar] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    entries: dict[str, YamlEntry] = field(default_factory=dict)


def joined(parts: Iterable[ParsedParameters]) -> ParsedParameters:
    """What several sections set and search, as if they were one."""
    whole = ParsedParameters()
    for part in parts:
        whole.fixed |= part.fixed
        whole.domains |= part.domains
        whole.entries |= part.entries
    return whole


def read_value(
    name: str,
    entry: YamlEntry,
    path: str,
    info: ParamInfo,
    into: ParsedParameters,
    findings: Findings,
) -> None:
    """Read one value into `into`; what is wrong goes to `findings` instead."""
    into.entries[name] = entry
    where = join(path, name)
    if entry.node.is_scalar:
        if check_constant(entry.node, where, info, findings):
            into.fixed[name] = entry.node.scalar()
    elif isinstance(entry.node.value, list):
        message = f"'{name}' must be one value or a domain, got the list {entry.node.typed()}"
        hint = f"to search these values: {{choice: {entry.node.typed()}}}"
        numbers = [n for n in map(_number, entry.node.items) if n is not None]
        if len(numbers) == len(entry.node.items) == 2 and info.type in (int, float):
            kind = "uniform" if info.type is float else "int"
            hint += f"; all between them: {{{kind}: {entry.node.typed()}}}"
        findings.add(entry.node.mark, where, message, hint)
    else:
        domain = _read_domain(entry, where, info, findings)
        if domain is not None:
            into.domains[name] = domain


def check_constant(node: YamlNode, where: str, info: ParamInfo, findings: Findings) -> bool:
    """Whether a node holds a value that the parameter may have; notes why not."""
    if not node.is_scalar:
        findings.add(node.mark, where, f"'{info.name}' must be one value, got {node.typed()}")
        return False
    wrong = info.problem(node.scalar())
    if wrong:
        # Numbers appear as typed: 1e-5, not 1e-05.
        end = f"got {show(node.scalar())}"
        if wrong.endswith(end):
            got = f"the text {node.typed()}" if node.quoted and info.type is not str else ""
            wrong = wrong.removesuffix(end) + f"got {got or node.typed()}"
        findings.add(node.mark, where, wrong, value_hint(node, wants_text=info.type is str))
    return not wrong


def _read_domain(
    entry: YamlEntry, where: str, info: ParamInfo, findings: Findings
) -> Domain | None:
    named = {key: e for key, e in entry.node.entries.items() if key != "when"}
    if len(named) != 1:
        got = " and ".join(f"'{key}'" for key in named) or "none"
        message = f"a domain names one distribution, got {got}"
        hint = "for example {uniform: [0.1, 0.9]}"
        findings.add(entry.node.mark, where, message, hint)
        return None
    [(kind, range_entry)] = named.items()
    node, place = range_entry.node, join(where, kind)
    known = next((k for k in KINDS if k == kind), None)
    if known is None:
        hint = _OTHER_NAMES.get(kind) or suggestion(kind, list(KINDS))
        hint = hint or f"one of {', '.join(KINDS)}"
        findings.add(node.mark, place, f"unknown distribution '{kind}'", hint)
        return None
    fitting = FITTING[info.type]
    if known not in fitting:
        what = {int: "a whole number", bool: "true or false", str: "text"}[info.type]
        message = f"'{info.name}' is {what}, which {kind} does not draw"
        findings.add(range_entry.mark, place, message, f"use {' or '.join(fitting)}")
        return None
    domain = (
        _choice(node, place, info, findings)
        if known == "choice"
        else _range(known, node, place, info, findings)
    )
    when = _read_when(entry, where, findings)
    if domain is None or when is None:
        return None
    return Domain(
        kind=domain.kind, low=domain.low, high=domain.high, step=domain.step,
        choices=domain.choices, when=when,
    )  # fmt: skip


def _choice(node: YamlNode, place: str, info: ParamInfo, findings: Findings) -> Domain | None:
    if not node.items:
        message = f"choice takes a list of values, got {node.typed()}"
        findings.add(node.mark, place, message, "for example {choice: [1, 2, 4]}")
        return None
    if not all([check_constant(item, place, info, findings) for item in node.items]):
        return None
    seen: set[Scalar] = set()
    for item in node.items:
        if item.scalar() in seen:
            findings.add(item.mark, place, f"choice lists {item.typed()} twice")
            return None
        seen.add(item.scalar())
    return Domain(kind="choice", choices=tuple(item.scalar() for item in node.items))


def _range(
    kind: Kind, node: YamlNode, place: str, info: ParamInfo, findings: Findings
) -> Domain | None:
    wanted = ("low", "high", "step") if kind == "quniform" else ("low", "high")
    numbers = [n for n in (_number(item) for item in node.items) if n is not None]
    if len(node.items) != len(wanted) or len(numbers) != len(wanted):
        message = f"{kind} takes [{', '.join(wanted)}], got {node.typed()}"
        hint = next((h for h in map(value_hint, node.items) if h), "")
        findings.add(node.mark, place, message, hint)
        return None
    low, high = numbers[:2]
    wrong, hint = _range_problem(kind, low, high, numbers[2] if len(numbers) > 2 else None)
    if kind in ("int", "logint") and any(isinstance(n, float) for n in numbers):
        wrong = f"{kind} needs whole numbers"
        hint = "use uniform or loguniform for fractions" if info.type is float else ""
    if wrong:
        findings.add(node.mark, place, f"{wrong}, got {node.typed()}", hint)
        return None
    if not all([check_constant(item, place, info, findings) for item in node.items[:2]]):
        return None
    step = float(numbers[2]) if len(numbers) > 2 else None
    return Domain(kind=kind, low=float(low), high=float(high), step=step)


def _number(node: YamlNode) -> int | float | None:
    value = None if not node.is_scalar else node.scalar()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _range_problem(kind: str, low: float, high: float, step: float | None) -> tuple[str, str]:
    """What is wrong with the ends, and a hint; empty texts when nothing is."""
    if kind == "loguniform" and low <= 0:
        return "loguniform needs low > 0", "use uniform, or a small positive low such as 1e-4"
    if kind == "logint" and low < 1:
        return "logint needs low >= 1", "use int, or 1 as low"
    if low > high:
        ends = [show(high), show(low), *([] if step is None else [show(step)])]
        return f"{kind} needs low < high", f"swap the ends: [{', '.join(ends)}]"
    if low == high:
        return f"{kind} needs low < high", "a single value is written without a distribution"
    if max(abs(low), abs(high)) > LARGEST_END:
        return f"{kind} takes ends up to {show(float(LARGEST_END))}", ""
    if step is not None and not 0 < step <= high - low:
        return "quniform needs a step > 0 that fits between low and high", ""
    if step is not None and (high - low) / step > MOST_STEPS:
        return f"quniform makes {MOST_STEPS:,} steps at most", "use uniform"
    return "", ""


def _read_when(entry: YamlEntry, where: str, findings: Findings) -> dict[str, Scalar] | None:
    when = entry.node.entries.get("when")
    if when is None:
        return {}
    place = join(where, "when")
    conditions = when.node.entries
    if not conditions:
        message = f"'when' takes {{parameter: value}}, got {when.node.typed()}"
        findings.add(when.node.mark, place, message, "for example when: {angles: true}")
        return None
    for name, condition in conditions.items():
        if not condition.node.is_scalar:
            message = f"'when' takes one value for '{name}', got {condition.node.typed()}"
            hint = f"for example when: {{{name}: {_first(condition.node)}}}"
            findings.add(condition.node.mark, place, message, hint)
            return None
    return {name: e.node.scalar() for name, e in conditions.items()}


def _first(node: YamlNode) -> str:
    """The first value of a list or mapping."""
    inner = [*node.items, *(entry.node for entry in node.entries.values())]
    return inner[0].typed() if inner else "0.5"


def check_conditions(
    values: ParsedParameters,
    infos: Mapping[str, ParamInfo],
    owner: str,
    path: str,
    meant: Collection[str],
    findings: Findings,
) -> None:
    """Check that every `when` refers to another parameter of the arm and to a value it can have.

    Args:
        values: The arm.
        infos: Its declared parameters.
        owner: The arm in the user's words.
        path: Its dotted path.
        meant: Parameters that misspelt keys of the arm probably meant; no second message for them.
        findings: Receives the problems.
    """
    for name, domain in values.domains.items():
        conditions = values.entries[name].node.entries.get("when")
        for other, wanted in domain.when.items():
            assert conditions is not None
            entry = conditions.node.entries[other]
            place = f"{path}.{name}.when"
            if other == name:
                findings.add(entry.mark, place, f"'when' refers to '{name}' itself")
            elif other not in values.entries:
                if other not in meant:
                    message = f"'when' refers to '{other}', which {owner} does not search or set"
                    known = [n for n in values.entries if n != name]
                    findings.add(entry.mark, place, message, suggestion(other, known))
            elif infos[other].problem(wanted):
                check_constant(entry.node, place, infos[other], findings)
            elif other in values.domains and not values.domains[other].contains(wanted):
                searched = values.domains[other].describe()
                message = f"'{other}' is never {entry.node.text}: it is searched in {searched}"
                findings.add(entry.node.mark, place, message)
    _check_cycles(values, path, findings)


def _check_cycles(values: ParsedParameters, path: str, findings: Findings) -> None:
    for name in values.domains:
        seen, ahead = {name}, [n for n in values.domains[name].when if n != name]
        while ahead:
            other = ahead.pop()
            if other == name:
                message = f"'{name}' depends on itself through 'when'"
                findings.add(values.entries[name].mark, f"{path}.{name}.when", message)
                return
            if other not in seen and other in values.domains:
                seen.add(other)
                ahead += values.domains[other].when
