"""``raykd ls``: what exists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.output import Output
from raykd.errors import UnknownName

KINDS = ("methods", "tasks", "families", "algorithms", "schedulers", "runs")
RUNS = Path("runs")


def ls(
    output: Output,
    kind: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(KINDS)}; all without it.")
    ] = None,
) -> None:
    """List methods, tasks, model families, search algorithms, schedulers or runs."""
    if kind is not None and kind not in KINDS:
        from raykd.registry import suggestion

        hint = suggestion(kind, KINDS) or f"one of {', '.join(KINDS)}"
        raise UnknownName(f"unknown kind '{kind}'", hint=hint)
    for each in KINDS if kind is None else (kind,):
        found = names_of(each, spelled=kind is not None)
        if output.is_json:
            output.record({"kind": each, "names": found})
        elif kind is None:
            output.text(f"{each}: {', '.join(found) or 'none'}")
        else:
            for name in found:
                output.text(name)


def names_of(kind: str, *, spelled: bool) -> list[str]:
    """The names of one kind; run folders newest first.

    Args:
        kind: One of `KINDS`.
        spelled: Also the variants inside a module (``glue/rte``), which imports the modules.
    """
    from raykd import registry

    if kind == "runs":
        folders = [p.parent for p in RUNS.glob("*/env.json")]
        return [str(p) for p in sorted(folders, key=lambda p: p.stat().st_mtime, reverse=True)]
    return list(registry.variants(kind) if kind == "tasks" and spelled else registry.names(kind))
