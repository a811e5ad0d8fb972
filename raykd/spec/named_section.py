"""Reads the name of an extension with its parameters: an algorithm, a scheduler, a logger."""

from __future__ import annotations

from collections.abc import Mapping

from raykd import registry
from raykd.errors import SpecError
from raykd.params import Scalar, describe
from raykd.registry import suggestion
from raykd.spec.schema_stages import Named
from raykd.spec.search_values import check_constant
from raykd.spec.yaml_nodes import Findings, YamlEntry, YamlNode, join


def read_named(
    kind: str,
    what: str,
    named: YamlNode,
    given: Mapping[str, YamlEntry],
    path: str,
    findings: Findings,
) -> Named | None:
    """Read an extension and its parameters; None where there is none of the name.

    Args:
        kind: Of extension, as `raykd.registry.kinds` has it.
        what: The same in the words of the file.
        named: The name.
        given: The parameters.
        path: The dotted place.
        findings: Receives the problems.
    """
    name = str(named.value)
    try:
        registry.load(kind, name)
        infos = {info.name: info for info in describe(registry.params_of(kind, name))}
    except SpecError as exc:
        findings.add(named.mark, path, exc.message, exc.hint)
        return None
    params: dict[str, Scalar] = {}
    for parameter, value in given.items():
        where = join(path, parameter)
        if parameter not in infos:
            close = suggestion(parameter, list(infos))
            hint = f"{close} (all of them: raykd show {name})".strip()
            message = f"{what} '{name}' has no parameter '{parameter}'"
            findings.add(value.mark, where, message, hint)
        elif check_constant(value.node, where, infos[parameter], findings):
            params[parameter] = value.node.scalar()
    return Named(name=name, params=params)
