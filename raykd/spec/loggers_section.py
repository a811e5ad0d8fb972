"""Reads ``loggers``, names with parameters or without, and ``log_every``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from raykd.params import ParamInfo, describe, param
from raykd.spec.addresses import SECRET, holds_secret
from raykd.spec.named_section import read_named
from raykd.spec.schema_stages import Named
from raykd.spec.search_values import check_constant
from raykd.spec.yaml_nodes import Findings, YamlEntry, YamlNode, join

WHERE = "loggers"
_FORM = "for example loggers: [csv, {mlflow: {uri: http://localhost:5000}}]"
_KEPT_OUT = "give it in the environment, which the logger's package reads"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Interval:
    """How often step metrics are logged."""

    log_every: int | None = param(
        50,
        low=1,
        high=1_000_000,
        help="Optimizer steps between two step metrics that loggers receive: loss terms, learning "
        "rate, gradient norm, tokens per second, memory; null = none.",
    )


def interval_info() -> ParamInfo:
    """What ``log_every`` may be."""
    return describe(_Interval)[0]


def read_logging(entries: Mapping[str, YamlEntry], findings: Findings) -> dict[str, object]:
    """The loggers of a file, and ``log_every`` where it has one; problems go to `findings`."""
    fields: dict[str, object] = {"loggers": _read_loggers(entries.get(WHERE), findings)}
    every = entries.get("log_every")
    if every is not None and check_constant(every.node, "log_every", interval_info(), findings):
        fields["log_every"] = every.node.scalar()
    return fields


def _read_loggers(entry: YamlEntry | None, findings: Findings) -> tuple[Named, ...]:
    if entry is None or entry.node.value is None:
        return ()
    if not isinstance(entry.node.value, list):
        message = f"'loggers' must be a list, got {entry.node.typed()}"
        findings.add(entry.node.mark, WHERE, message, _FORM)
        return ()
    loggers: dict[str, Named] = {}
    for number, node in enumerate(entry.node.items):
        made = _read_logger(node, f"{WHERE}[{number}]", findings)
        if made is not None and made.name in loggers:
            message = f"logger '{made.name}' is listed twice"
            findings.add(node.mark, f"{WHERE}[{number}]", message, "keep one of them")
        elif made is not None:
            loggers[made.name] = made
    return tuple(loggers.values())


def _read_logger(node: YamlNode, path: str, findings: Findings) -> Named | None:
    if isinstance(node.value, str):
        return read_named("loggers", "logger", node, {}, path, findings)
    parts = list(node.entries.items())
    if len(parts) != 1 or not isinstance(parts[0][1].node.value, dict | None):
        message = f"a logger is a name, or {{NAME: {{parameters}}}}, got {node.typed()}"
        findings.add(node.mark, path, message, _FORM)
        return None
    [(name, entry)] = parts
    given = entry.node.entries
    secret = list(_secrets(given))
    for parameter in secret:
        at = given[parameter].node.mark
        findings.add(at, join(join(path, name), parameter), SECRET, _KEPT_OUT, secret=True)
    if secret:
        return None
    named = YamlNode(name, name, entry.mark)
    return read_named("loggers", "logger", named, given, join(path, name), findings)


def _secrets(given: dict[str, YamlEntry]) -> Iterator[str]:
    """The parameters that are addresses with a secret in them."""
    for parameter, entry in given.items():
        if isinstance(entry.node.value, str) and holds_secret(entry.node.value):
            yield parameter
