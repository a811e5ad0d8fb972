"""Reads ``student.keep_layers``: how many blocks of the student stay, set or searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raykd.params import ParamInfo, describe
from raykd.spec.lora_section import lora_infos, section_infos
from raykd.spec.schema import ParameterSpec
from raykd.spec.search_values import ParsedParameters, check_conditions, read_value
from raykd.spec.yaml_nodes import Findings, YamlEntry, join
from raykd.training.settings import SizeSettings

KEEP = "keep_layers"
PATH = f"student.{KEEP}"
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
    values = ParsedParameters()
    entry = student.node.entries.get(KEEP) if student is not None else None
    if entry is None:
        return values
    infos = size_infos()
    read_value(KEEP, entry, "student", infos[KEEP], values, findings)
    check_conditions(values, infos, "the student", "student", set(), findings)
    domain = values.domains.get(KEEP)
    if domain is not None and (domain.high or 0) - (domain.low or 0) >= MOST_SIZES:
        message = f"'{KEEP}' takes {MOST_SIZES} sizes at most, got {domain.describe()}"
        findings.add(entry.node.mark, join("student", KEEP), message, "for example choice: [2, 4]")
    return values


def sizes_of(train: ParameterSpec) -> tuple[int | None, ...]:
    """The numbers of blocks that students may keep, None for all of them.

    Args:
        train: What all arms share.
    """
    domain = train.domains.get(KEEP)
    if domain is None:
        kept = train.fixed.get(KEEP)
        return (kept if isinstance(kept, int) else None,)
    if domain.kind == "choice":
        return tuple(kept if isinstance(kept, int) else None for kept in domain.choices)
    assert domain.low is not None
    assert domain.high is not None
    return tuple(range(int(domain.low), int(domain.high) + 1))
