"""Writes a `SweepSpec` in the form of a search-space file, with every default spelled out."""

from __future__ import annotations

import io
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from raykd.params import Scalar
from raykd.spec.domains import Domain
from raykd.spec.lora_section import lora_infos
from raykd.spec.method_section import train_infos
from raykd.spec.schema import ArmSpec, ParameterSpec, SweepSpec
from raykd.spec.schema_base import SpecSection
from raykd.spec.schema_stages import Named, SearchSpec
from raykd.spec.size_section import size_infos
from raykd.training.settings import LORA


def to_yaml(spec: SweepSpec) -> str:
    """The resolved search space; `raykd.spec.load.load_spec` reads it back to an equal spec."""
    sections = {
        "name": spec.name,
        "description": spec.description,
        "tasks": _flow([_task(spec, name) for name in spec.tasks]),
        "data": _section(spec.data),
        **_teachers(spec),
        "student": _student(spec),
        "train": _arm(_named(spec.train, train_infos())),
        "methods": {name: _method(arm) for name, arm in spec.methods.items()},
        "search": _search(spec.search),
        "confirm": _section(spec.confirm),
        "resources": _section(spec.resources),
        "report": _section(spec.report),
        "loggers": _flow([_logger(logger) for logger in spec.loggers]),
        "log_every": spec.log_every,
    }
    return as_text(sections)


def as_text(plain: Mapping[str, Any]) -> str:
    """A mapping as the text of a search-space file."""
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 4096  # one domain, one line
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(dict(plain), stream)
    return stream.getvalue()


def _teachers(spec: SweepSpec) -> dict[str, Any]:
    """The teacher, or all of them by name."""
    if not spec.teachers:
        return {"teacher": _section(spec.teacher)}
    return {"teachers": {name: _section(one) for name, one in spec.teachers.items()}}


def _student(spec: SweepSpec) -> dict[str, Any]:
    """The student, with what is set and searched of its size and its adapter."""
    plain = _section(spec.student) | _arm(_named(spec.train, size_infos()))
    if spec.student.lora is not None:
        sizes = _arm(_named(spec.train, lora_infos()))
        plain["lora"] = _flow(
            {name.removeprefix(LORA): value for name, value in sizes.items()} | plain["lora"]
        )
    return plain


def _named(shared: ParameterSpec, names: Container[str]) -> ParameterSpec:
    """Some of what all arms share, under conditions in the words of its section."""
    domains = {
        name: replace(
            domain, when={n.removeprefix(LORA): wanted for n, wanted in domain.when.items()}
        )
        for name, domain in shared.domains.items()
        if name in names
    }
    return ParameterSpec(
        fixed={name: value for name, value in shared.fixed.items() if name in names},
        domains=domains,
    )


def _task(spec: SweepSpec, name: str) -> Any:
    own = spec.own_tasks.get(name)
    return name if own is None else _section(own)


def _section(section: SpecSection) -> dict[str, Any]:
    """A section without what is null; nested ones are written on one line."""
    plain = section.model_dump(exclude_none=True)
    return {key: _flow(value) for key, value in plain.items() if value != {}}


def _flow(value: Any) -> Any:
    """Mappings and lists on one line, scalars as they are."""
    if isinstance(value, Mapping):
        mapping = CommentedMap({key: _flow(item) for key, item in value.items()})
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list | tuple):
        sequence = CommentedSeq([_flow(item) for item in value])
        sequence.fa.set_flow_style()
        return sequence
    return value


def _arm(arm: ParameterSpec) -> dict[str, Any]:
    domains = {name: _domain(domain) for name, domain in arm.domains.items()}
    return dict(arm.fixed) | domains


def _method(arm: ArmSpec) -> dict[str, Any]:
    head = {} if arm.method == arm.name else {"method": arm.method}
    start = {"start": [_flow(point) for point in arm.start]} if arm.start else {}
    return head | _arm(arm) | start


def _domain(domain: Domain) -> Any:
    values: tuple[Scalar, ...] = domain.choices
    if domain.kind != "choice":
        numbers = [n for n in (domain.low, domain.high, domain.step) if n is not None]
        whole = domain.kind in ("int", "logint")
        values = tuple(int(n) if whole else n for n in numbers)
    when = {"when": domain.when} if domain.when else {}
    return _flow({domain.kind: values} | when)


def _search(search: SearchSpec) -> dict[str, Any]:
    plain = _section(search)
    durations = ("time_budget", "device_budget", "trial_time_limit")
    budgets = {key: plain.pop(f"{key}_s", None) for key in durations}
    objectives = [_flow(objective.model_dump()) for objective in search.objective]
    bounds = {"constraints": _flow([str(c) for c in search.constraints])}
    return (
        {"algorithm": _with_params(search.algorithm), "scheduler": _with_params(search.scheduler)}
        | {k: v for k, v in plain.items() if k not in ("algorithm", "scheduler")}
        | {key: seconds for key, seconds in budgets.items() if seconds is not None}
        | {"objective": objectives[0] if len(objectives) == 1 else objectives}
        | (bounds if search.constraints else {})
    )


def _logger(logger: Named) -> Any:
    return {logger.name: dict(logger.params)} if logger.params else logger.name


def _with_params(named: Named) -> Any:
    return _flow({"name": named.name} | dict(named.params)) if named.params else named.name
