"""Shell completion: names of methods, tasks, search spaces, arms and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from raykd.cli.names import LISTED, SHOWN, names_of, shipped

if TYPE_CHECKING:
    from collections.abc import Iterable


def things(incomplete: str) -> list[str]:
    """What ``raykd show`` knows, without what only an import could tell."""
    from raykd import registry
    from raykd.spec.reference import SECTIONS

    names = {name for kind in SHOWN for name in names_of(kind, spelled=False)}
    names |= {*SECTIONS, "train"}
    if "/" in incomplete:
        names = set(registry.variants("tasks"))
    return _beginning(names, incomplete)


def kinds(incomplete: str) -> list[str]:
    """What ``raykd ls`` lists."""
    return _beginning(LISTED, incomplete)


def search_spaces(incomplete: str) -> list[str]:
    """The shipped search spaces."""
    return _beginning(shipped(), incomplete)


def runs(incomplete: str) -> list[str]:
    """Run folders below the current one, the newest first."""
    return [run for run in names_of("runs", spelled=True) if run.startswith(incomplete)]


def arms(context: typer.Context, incomplete: str) -> list[str]:
    """The arms of the search space that the command line names; its methods are not imported."""
    from raykd.errors import RaykdError
    from raykd.registry import METHODS_WITHOUT_TEACHER
    from raykd.spec.yaml_loader import read_file
    from raykd.spec.yaml_nodes import Findings

    file = next((word for word in _words(context, "source") if Path(word).is_file()), None)
    if file is None:
        return []
    try:
        file_keys = read_file(file, Findings()).value
    except RaykdError:
        return []
    methods = file_keys.get("methods") if isinstance(file_keys, dict) else None
    named = methods.node.value if methods is not None else None
    if not isinstance(named, dict):
        return []
    # Where a file has no arm without a teacher, one is added.
    added = () if set(named) & set(METHODS_WITHOUT_TEACHER) else METHODS_WITHOUT_TEACHER[:1]
    return _beginning((*named, *added), incomplete)


def arms_of_run(context: typer.Context, incomplete: str) -> list[str]:
    """The arms of the run folder that the command line names."""
    return _beginning(_resolved(context).get("methods", ()), incomplete)


def tasks_of_run(context: typer.Context, incomplete: str) -> list[str]:
    """Its tasks."""
    return _beginning(_resolved(context).get("tasks", ()), incomplete)


def _resolved(context: typer.Context) -> dict[str, Any]:
    """The search space of a run; empty where there is none."""
    named = (Path(word) / "resolved.json" for word in _words(context, "run"))
    try:
        answer = json.loads(
            next(path for path in named if path.is_file()).read_text(encoding="utf-8")
        )
    except (StopIteration, OSError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _words(context: typer.Context, argument: str) -> list[str]:
    """An argument as far as it was read: an option without its value leaves it among the rest."""
    return [str(word) for word in (context.params.get(argument), *context.args) if word]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
