"""``raykd ls``: what exists."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from raykd.cli import family_table
from raykd.cli.completions import kinds
from raykd.cli.names import LISTED, names_of
from raykd.cli.output import Output
from raykd.errors import UnknownName


def ls(
    output: Output,
    kind: Annotated[
        str | None,
        typer.Argument(help=f"One of {', '.join(LISTED)}; all without it.", autocompletion=kinds),
    ] = None,
) -> None:
    """List methods, tasks, model families, search algorithms, schedulers, loggers or runs."""
    if kind is not None and kind not in LISTED:
        from raykd.registry import suggestion

        hint = suggestion(kind, LISTED) or f"one of {', '.join(LISTED)}"
        raise UnknownName(f"unknown kind '{kind}'", hint=hint)
    for each in LISTED if kind is None else (kind,):
        extensions = names_of(each, spelled=kind is not None)
        meanings = {} if kind is None else {name: meaning_of(each, name) for name in extensions}
        if output.is_json:
            output.record(
                {"kind": each, "names": extensions} | ({"about": meanings} if meanings else {})
            )
        elif kind is None:
            output.text(f"{each}: {', '.join(extensions) or 'none'}")
        else:
            width = max(map(len, extensions), default=0)
            for name in extensions:
                output.text(f"{name.ljust(width)}  {meanings[name]}".rstrip())


def meaning_of(kind: str, name: str) -> str:
    """One line on a name: what it is, or what became of a run."""
    if kind == "runs":
        return _describe_run(Path(name))
    from raykd import registry

    if kind == "tasks":
        about: str = registry.load("tasks", name).about
        return about
    from raykd.cli.show import first_line

    if kind != "families":
        return first_line(kind, name)
    has_file = name in registry.names(kind)
    return family_table.meaning(name, first_line(kind, name) if has_file else "")


def _describe_run(run: Path) -> str:
    """When a run began, how it ended, and what came out of it."""
    from raykd.errors import RaykdError
    from raykd.results.store import load_results
    from raykd.results.verdict import verdict

    try:
        result = load_results(run)
    except RaykdError as exc:
        return f"cannot be read: {exc.message}"
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(result.started))
    ended = "interrupted" if result.interrupted else "done" if result.finished else "not finished"
    headlines = [f"{task.name}: {verdict(result, task.name).headline}" for task in result.tasks]
    return "  ".join([began, ended, *headlines])
