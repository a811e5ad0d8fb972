"""Shell completion: names of methods, tasks, search spaces, arms and runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    """The arms of the search space that the command line names."""
    from raykd import user_code
    from raykd.errors import RaykdError
    from raykd.spec.load import load_spec

    # An option without its value leaves what stands before it unread.
    words = [context.params.get("source"), *context.args]
    file = next((str(word) for word in words if word and Path(str(word)).is_file()), None)
    if file is None:
        return []
    user_code.limit_to()
    try:
        return _beginning(load_spec(file).methods, incomplete)
    except RaykdError:
        return []
    finally:
        user_code.allow_all()


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
