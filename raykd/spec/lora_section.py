"""Reads ``student.lora``: where adapters are, and what is set or searched of them."""

from __future__ import annotations

import dataclasses

from raykd.params import ParamInfo, describe
from raykd.spec.schema import LoraSpec
from raykd.spec.search_values import ParsedParameters, check_conditions, read_value
from raykd.spec.sections import is_section, read_section
from raykd.spec.yaml_nodes import Findings, YamlEntry
from raykd.training.settings import LORA, LoraSettings

PATH = "student.lora"


def lora_infos() -> dict[str, ParamInfo]:
    """The settings of an adapter, by the names that they have besides those of training."""
    return {info.name: info for info in describe(LoraSettings)}


def section_infos() -> dict[str, ParamInfo]:
    """The same by the names that they have within their section."""
    own = {name.removeprefix(LORA): info for name, info in lora_infos().items()}
    return {name: dataclasses.replace(info, name=name) for name, info in own.items()}


def read_lora(
    student: YamlEntry | None, findings: Findings
) -> tuple[LoraSpec | None, ParsedParameters]:
    """Read the section.

    Returns:
        Where adapters are, None without any; and what is set or searched, with `LORA` before the
        names of the file.
    """
    values = ParsedParameters()
    entry = student.node.entries.get("lora") if student is not None else None
    if entry is None or entry.node.value is None or not is_section(entry, PATH, findings):
        return None, values
    infos = section_infos()
    read = ParsedParameters()
    for name, value in entry.node.entries.items():
        if name in infos:
            read_value(name, value, PATH, infos[name], read, findings)
    check_conditions(read, infos, "the adapter", PATH, set(), findings)
    given = entry.node.entries.get("targets")
    targets = {}
    if given is not None and isinstance(given.node.value, str):
        targets = {"targets": (given.node.value,)}
    by_hand = (*infos, *targets)
    made = read_section(LoraSpec, entry, PATH, findings, parsed=targets, by_hand=by_hand)
    values.entries.update({LORA + name: of_name for name, of_name in read.entries.items()})
    values.fixed.update({LORA + name: value for name, value in read.fixed.items()})
    for name, domain in read.domains.items():
        when = {LORA + other: wanted for other, wanted in domain.when.items()}
        values.domains[LORA + name] = dataclasses.replace(domain, when=when)
    return made, values
