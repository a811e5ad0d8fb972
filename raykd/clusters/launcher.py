"""A cluster file through Ray's own loader and schema, as ``ray up`` does first; asks no cloud.

``ray up`` stops at the first mistake and names no line. Here the same schema is read for all of
them at once, and each is put where the file says it; Ray's own function has the last word.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from raykd.clusters.document import Document, Place, mapping
from raykd.errors import Problem, SpecError
from raykd.ray_private import Launcher
from raykd.registry import suggestion


def load(document: Document) -> Mapping[str, Any]:
    """What Ray makes of a file.

    Raises:
        SpecError: With everything that Ray refuses.
    """
    _check_kind(document)
    try:
        config = _prepare(document)
    except _Refused as exc:
        raise SpecError(problems=[document.problem(exc.place, exc.message)]) from None
    problems = list(_schema_problems(document, config))
    if problems:
        raise SpecError(problems=problems)
    try:
        Launcher().validate(config)
    except (ValueError, RuntimeError) as exc:
        raise SpecError(problems=[document.problem((), str(exc))]) from exc
    return config


class _Refused(Exception):
    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place, self.message = place, message


def _check_kind(document: Document) -> None:
    """Refuse what is no file for ``ray up`` at all, before Ray stumbles over it."""
    given = document.value
    if not isinstance(given, dict):
        what = "a list" if isinstance(given, list) else "a single value"
        message = f"not a ray up file: expected sections (key: value), got {what}"
        raise SpecError(problems=[document.problem((), message)])
    if "methods" in given and "tasks" in given:
        message, hint = "not a ray up file: it is a search space", "raykd validate checks those"
        raise SpecError(problems=[document.problem((), message, hint)])
    provider = given.get("provider")
    if not isinstance(provider, dict) or not isinstance(provider.get("type"), str):
        message = "not a ray up file: provider.type is not given"
        raise SpecError(problems=[document.problem(("provider",), message, "e.g. {type: aws}")])
    known = sorted(Launcher().providers)
    if provider["type"] not in known:
        message = f"unknown provider '{provider['type']}'"
        hint = suggestion(provider["type"], known) or f"one of {', '.join(known)}"
        raise SpecError(problems=[document.problem(("provider", "type"), message, hint)])


def _prepare(document: Document) -> dict[str, Any]:
    """Ray's defaults filled in."""
    import click

    prepare = Launcher().prepare
    given: dict[str, Any] = deepcopy(document.value)
    for name, node_type in mapping(given.get("available_node_types")).items():
        if not isinstance(node_type, dict):
            message = f"a node type is a mapping, got {node_type!r}"
            raise _Refused(("available_node_types", str(name)), message)
        if given["provider"]["type"] == "aws":
            # Where none are stated, `ray up` asks AWS what the machine has.
            node_type.setdefault("resources", {})
    printed = io.StringIO()
    try:
        # Ray prints what it refuses or corrects.
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            config: dict[str, Any] = prepare(given)
    except click.ClickException as exc:
        raise _Refused(("provider",), exc.message) from None
    except Exception as exc:
        # The loader takes the types of values for granted: let the schema say which one is wrong.
        if list(_schema_problems(document, given)):
            return given
        raise _Refused((), f"Ray cannot read the file: {type(exc).__name__}: {exc}") from exc
    return config


def _schema_problems(document: Document, config: Mapping[str, Any]) -> Iterator[Problem]:
    import jsonschema

    schema = Launcher().schema()
    for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(config):
        place = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            for key in sorted(set(error.instance) - set(known)):
                hint = suggestion(str(key), known) or f"Ray knows {', '.join(known)}"
                yield document.problem((*place, str(key)), f"unknown key '{key}'", hint)
        elif error.validator == "required":
            for key in sorted(set(error.validator_value) - set(error.instance)):
                yield document.problem((*place, key), f"'{key}' is required and not given")
        elif error.validator == "type":
            wanted = error.validator_value
            kinds = " or ".join([wanted] if isinstance(wanted, str) else wanted)
            yield document.problem(place, f"must be of type {kinds}, got {_shown(error.instance)}")
        else:
            yield document.problem(place, error.message)


def _shown(value: Any) -> str:  # whatever the file holds
    return json.dumps(value) if not isinstance(value, dict | list) else type(value).__name__
