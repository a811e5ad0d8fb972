"""What results read of the search space of a run, and whether it is there in a form they know.

``resolved.json`` may be changed by hand, damaged, or of another version of raykd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

Shape = Callable[[object], bool]

LARGEST = 1e300
"""Beyond it, an end of a domain is not a number that was written by hand."""


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number of a size that is written by hand."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and is_number(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _has_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_text(one) for one in value.values())


def _each(shape: Shape) -> Shape:
    return lambda value: isinstance(value, list) and all(shape(one) for one in value)


def _having(needed: Mapping[str, Shape], more: Mapping[str, Shape] | None = None) -> Shape:
    """A mapping with some keys; `more` may be absent or null."""

    def fits(value: object) -> bool:
        return (
            isinstance(value, Mapping)
            and all(shape(value.get(key)) for key, shape in needed.items())
            and all(value.get(key) is None or fit(value[key]) for key, fit in (more or {}).items())
        )

    return fits


def _is_null(value: object) -> bool:
    return value is None


def _any_of(*shapes: Shape) -> Shape:
    return lambda value: any(shape(value) for shape in shapes)


def _is_domain(domain: object) -> bool:
    """Whether a searched parameter has what its kind needs."""
    if not isinstance(domain, Mapping) or not isinstance(domain.get("kind"), str):
        return False
    if domain["kind"] == "choice":
        return isinstance(domain.get("choices"), list)
    ends = [domain.get("low"), domain.get("high")]
    least = 0 if domain["kind"].startswith("log") else -LARGEST
    return all(is_number(end) and least < end for end in ends)


def _are_domains(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_domain(domain) for domain in value.values())


def _is_section(section: object) -> bool:
    """Whether parameters and domains are mappings, where a section has some."""
    parts = section if isinstance(section, Mapping) else {"fixed": None}
    return _is_mapping(parts.get("fixed", {})) and _are_domains(parts.get("domains", {}))


def _names_teachers(arm: Mapping[str, Any]) -> bool:
    """Whether the teachers that an arm learns from, or chooses among, are named by texts."""
    choices = (arm.get("domains", {}).get("teacher") or {}).get("choices") or ()
    fixed = arm.get("fixed", {}).get("teacher")
    return all(_is_text(name) for name in choices) and (fixed is None or _is_text(fixed))


_SEED_PLAN = _having({"start": _is_whole, "then": _each(_is_whole)})
_TEACHER = _having({}, {"mean": _any_of(_is_mapping, _each(_is_text)), "routes": _has_texts})
_BOUND = _having({"metric": _is_text, "relation": _is_text, "bound": is_number})
_LOGGER = _having({"name": _is_text}, {"params": _is_mapping})

_PARTS: Mapping[str, Shape] = {
    "tasks": _each(_any_of(_is_text, _is_mapping)),
    "loggers": _any_of(_is_null, _each(_LOGGER)),
    "data.rationales": _is_mapping,
    "search.repeats": _is_whole,
    "search.constraints": _any_of(_is_null, _each(_BOUND)),
    "confirm.seeds": _any_of(_each(_is_whole), _SEED_PLAN),
    "report.margin": _any_of(_is_null, is_number),
}
"""What else is read, where it is there."""


def not_understood(spec: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Places of a search space, and what stands there in a form that results do not know.

    Args:
        spec: The resolved search space as plain data; its ``methods`` are a mapping.
    """
    sections = {f"methods.{name}": arm for name, arm in spec["methods"].items()}
    sections |= {name: spec.get(name) for name in ("train", "data", "search", "confirm", "report")}
    for place, section in sections.items():
        is_arm = place.startswith("methods.")
        if not _is_section(section) or (is_arm and not _names_teachers(section)):
            yield place, section
    teachers = spec.get("teachers") or {}
    if not (_is_mapping(teachers) and all(map(_TEACHER, teachers.values()))):
        yield "teachers", teachers
    for place, shape in _PARTS.items():
        *owners, key = place.split(".")
        owner: Any = spec
        for name in owners:
            owner = owner.get(name)
        if isinstance(owner, Mapping) and key in owner and not shape(owner[key]):
            yield place, owner[key]
