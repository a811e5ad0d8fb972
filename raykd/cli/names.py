"""The names that the command line lists, shows and completes."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

from raykd.cli.family_table import family_names

SHOWN = ("methods", "tasks", "families", "algorithms", "schedulers", "loggers")
"""Kinds of extension that have a page of their own."""
LISTED = (*SHOWN, "runs")
"""What can be listed."""
RUNS = Path("runs")


def names_of(kind: str, *, spelled: bool) -> list[str]:
    """The names of one kind; run folders newest first.

    Args:
        kind: One of `LISTED`.
        spelled: Also the variants inside a module (``glue/rte``), which imports the modules.
    """
    from raykd import registry

    if kind == "runs":
        folders = [p.parent for p in RUNS.glob("*/env.json")]
        return [str(p) for p in sorted(folders, key=lambda p: p.stat().st_mtime, reverse=True)]
    if kind == "families":
        return family_names()
    return list(registry.variants(kind) if kind == "tasks" and spelled else registry.names(kind))


def shipped() -> Mapping[str, Traversable]:
    """The shipped search spaces by name.

    In a wheel they are the package ``raykd.search_spaces``. An editable install leaves them where
    they are in the repository, next to the package.
    """
    folder: Traversable = importlib.resources.files("raykd") / "search_spaces"
    if not folder.is_dir():
        folder = Path(__file__).parents[2] / "search_spaces"
    files = [f for f in folder.iterdir() if f.name.endswith(".yaml")] if folder.is_dir() else []
    return {f.name.removesuffix(".yaml"): f for f in sorted(files, key=lambda f: f.name)}
