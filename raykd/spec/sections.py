"""Checks one section against its schema class and says what is wrong in the user's words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from raykd.errors import shortened
from raykd.spec.hints import form_of, key_hint, value_hint
from raykd.spec.schema_base import SpecSection
from raykd.spec.yaml_nodes import TYPED, Findings, YamlEntry, YamlNode, join

S = TypeVar("S", bound=SpecSection)

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "model_type": "a mapping (key: value)",
    "dict_type": "a mapping (key: value)",
    "mapping_type": "a mapping (key: value)",
}
_BOUNDS = {
    "greater_than": (">", "gt"),
    "greater_than_equal": (">=", "ge"),
    "less_than": ("<", "lt"),
    "less_than_equal": ("<=", "le"),
}


_RANGE = re.compile(r"\d\s*(?:-|\.\.+)\s*\d")


def is_section(entry: YamlEntry, path: str, findings: Findings) -> bool:
    """Whether a value can be a section; null counts as an empty one."""
    if entry.node.value is None or isinstance(entry.node.value, dict):
        return True
    name = path.rpartition(".")[2]
    message = f"'{name}' must be a mapping (key: value), got {entry.node.typed()}"
    findings.add(entry.node.mark, path, message, form_of(name))
    return False


def unknown_keys(
    entries: Mapping[str, YamlEntry], known: Collection[str], path: str, findings: Findings
) -> set[str]:
    """Note keys that do not exist.

    Returns:
        The known keys that the unknown ones were probably meant to be: their absence is no problem
        of its own.
    """
    meant: set[str] = set()
    for key in entries:
        if key in known:
            continue
        hint = "" if findings.full else key_hint(key, known, entries, path)
        meant.update(name for name in known if hint.startswith(f"did you mean '{name}'?"))
        shown = shortened(key, TYPED)
        findings.add(entries[key].mark, join(path, key), f"unknown key '{shown}'", hint)
    return meant


def read_section(
    schema: type[S],
    entry: YamlEntry | None,
    path: str,
    findings: Findings,
    *,
    parsed: Mapping[str, Any] | None = None,
    by_hand: Collection[str] = (),
) -> S | None:
    """Read a section.

    Args:
        schema: What it must look like.
        entry: The section, None when the file has none.
        path: Its dotted path.
        findings: Receives the problems.
        parsed: Values of fields that were read elsewhere.
        by_hand: Keys of the file that were read elsewhere.

    Returns:
        The section, or None when something was wrong.
    """
    given = dict(parsed or {})
    if entry is None:
        return schema.model_validate(given)
    if not is_section(entry, path, findings):
        return None
    keys = {k: e for k, e in entry.node.entries.items() if k not in by_hand}
    fields = [name for name in schema.model_fields if name not in given]
    meant = unknown_keys(keys, [*fields, *by_hand], path, findings)
    plain = {k: e.node.plain() for k, e in keys.items() if k in fields}
    try:
        made = schema.model_validate({**plain, **given})
    except ValidationError as exc:
        rest = YamlNode({k: keys[k] for k in plain}, "", entry.node.mark)
        _translate(exc, YamlEntry(entry.mark, rest), path, meant, findings)
        return None
    return None if len(plain) < len(keys) else made


def _translate(
    exc: ValidationError, entry: YamlEntry, path: str, meant: set[str], findings: Findings
) -> None:
    grouped: dict[str, tuple[YamlEntry, list[Any]]] = {}
    for error in exc.errors():
        place, where = _descend(entry, path, error["loc"])
        if error["type"] == "missing":
            name = str(error["loc"][-1])
            if name not in meant:
                findings.add(place.mark, where, f"needs the key '{name}'")
        else:
            grouped.setdefault(where, (place, []))[1].append(error)
    for where, (place, errors) in grouped.items():
        name = where.rpartition(".")[2]
        wanted = _wanted(errors)
        message = f"'{name}' must {wanted}, got {place.node.typed()}"
        findings.add(place.node.mark, where, message, _right_form(name, place.node, errors))


def _right_form(name: str, node: YamlNode, errors: Sequence[Any]) -> str:
    """How the value is to be written, from the errors of all branches of a union."""
    kinds = {error["type"] for error in errors}
    if "tuple_type" in kinds and node.is_scalar and node.value is not None:
        if _RANGE.search(node.typed()):
            return form_of(name)
        parts = [part.strip() for part in node.typed().replace(";", ",").split(",") if part.strip()]
        return f"for example {name}: [{', '.join(parts)}]"
    if "tuple_type" in kinds and node.entries:
        values = [entry.node.text for entry in node.entries.values() if entry.node.is_scalar]
        if len(values) == len(node.entries):
            return f"for example {name}: [{', '.join(values)}]"
    if kinds & {"model_type", "dict_type", "mapping_type"}:
        return form_of(name)
    return value_hint(node, wants_text="string_type" in kinds)


def _descend(entry: YamlEntry, path: str, loc: Sequence[int | str]) -> tuple[YamlEntry, str]:
    """The deepest part of the file that a location names; unions add parts of their own."""
    for part in loc:
        if isinstance(part, int) and part < len(entry.node.items):
            below = entry.node.items[part]
            entry, path = YamlEntry(below.mark, below), f"{path}[{part}]"
        elif isinstance(part, str) and part in entry.node.entries:
            entry, path = entry.node.entries[part], join(path, part)
    return entry, path


def _wanted(errors: Sequence[Any]) -> str:
    """What a value must be, from the errors of all branches of a union."""
    words: list[str] = []
    for error in errors:
        kind, context = error["type"], error.get("ctx", {})
        if kind in _BOUNDS:
            sign, key = _BOUNDS[kind]
            return f"be {sign} {context[key]}"
        if kind == "literal_error":
            words += [w.strip("' ") for w in context["expected"].replace(" or ", ",").split(",")]
        elif kind == "too_short":
            return f"have at least {context['min_length']} entry"
        elif kind == "too_long":
            return f"have at most {context['max_length']} entries"
        elif kind in _EXPECTED:
            words.append(_EXPECTED[kind])
        else:
            words.append(str(error["msg"]))
    unique = list(dict.fromkeys(words))
    if "a number" in unique and "a whole number" in unique:
        unique.remove("a whole number")
    return "be " + " or ".join(unique)
