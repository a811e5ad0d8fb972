"""Reads ``student.keep_layers`` and ``keep_heads``: how large the student is, set or searched."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

from raykd.params import ParamInfo, describe
from raykd.spec.domains import Domain
from raykd.spec.lora_section import lora_infos, section_infos
from raykd.spec.schema import ParameterSpec
from raykd.spec.search_values import ParsedParameters, check_conditions, read_value
from raykd.spec.yaml_nodes import Findings, YamlEntry, join
from raykd.training.settings import SizeSettings

MOST_SIZES = 128
"""Of students in a search; methods are asked about each of them."""


def size_infos() -> dict[str, ParamInfo]:
    """What is set or searched of the student's size."""
    return {info.name: info for info in describe(SizeSettings)}


def student_infos() -> dict[str, ParamInfo]:
    """What is set or searched of the student, by the names that it has besides training."""
    return {**lora_infos(), **size_infos()}


SEARCHED_IN: Mapping[str, Callable[[], dict[str, ParamInfo]]] = {
    "lora": section_infos, "student": size_infos,
}  # fmt: skip
"""Sections that hold settings of students, besides their own keys."""


def read_size(student: YamlEntry | None, findings: Findings) -> ParsedParameters:
    """Read what a file says of the student's size; what is wrong goes to `findings`."""
    values, infos = ParsedParameters(), size_infos()
    given = student.node.entries if student is not None else {}
    entries = {name: given[name] for name in infos if name in given}
    for name, entry in entries.items():
        read_value(name, entry, "student", infos[name], values, findings)
    check_conditions(values, infos, "the student", "student", set(), findings)
    count, paths = 1, []
    for name, domain in values.domains.items():
        own = _count(domain)
        count *= own
        paths.append(join("student", name))
        if count > MOST_SIZES:
            message = f"'{name}' takes {MOST_SIZES} sizes at most, got {domain.describe()}"
            if own <= MOST_SIZES:
                message = f"{' and '.join(paths)} give {count} sizes together, at most {MOST_SIZES}"
            findings.add(entries[name].node.mark, paths[-1], message, "for example choice: [2, 4]")
            break
    return values


def _count(domain: Domain) -> int:
    """How many values a domain has."""
    if domain.low is not None and domain.high is not None:
        return int(domain.high - domain.low + 1)
    return len(domain.choices)


def sizes_of(train: ParameterSpec) -> tuple[SizeSettings, ...]:
    """The sizes that students may have; of the one that is named, all is None.

    Args:
        train: What all arms share.
    """
    values = [_values(train, name) for name in size_infos()]
    return tuple(
        SizeSettings(**dict(zip(size_infos(), of, strict=True)))
        for of in itertools.product(*values)
    )


def is_sized(train: ParameterSpec) -> bool:
    """Whether students may be smaller than the one that is named."""
    return sizes_of(train) != (SizeSettings(),)


def size_paths(train: ParameterSpec) -> str:
    """What says so in a file: ``student.keep_layers``."""
    names = (n for n in size_infos() if n in train.domains or train.fixed.get(n) is not None)
    return " and ".join(join("student", name) for name in names)


def _values(train: ParameterSpec, name: str) -> tuple[int | None, ...]:
    """The values that one part of the size may have, None for all."""
    domain = train.domains.get(name)
    if domain is None:
        kept = train.fixed.get(name)
        return (kept if isinstance(kept, int) else None,)
    if domain.kind == "choice":
        values = [kept if isinstance(kept, int) else None for kept in domain.choices]
    else:
        assert domain.low is not None
        assert domain.high is not None
        values = [*range(int(domain.low), int(domain.high) + 1)]
    return tuple(dict.fromkeys([*values, *([None] if domain.when else [])]))
