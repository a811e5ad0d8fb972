"""Which code of users may be imported: any, or only that of one folder, or none.

A search space names modules, and importing one runs it. Who calls raykd from Python has chosen to;
the command line opens files that others may have written.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

from raykd.errors import SpecError

ALLOW = "--allow-imports"


class _Limit:
    """The limit of this process: None for none, else the folders that code is imported from."""

    folders: tuple[Path, ...] | None = None


def allow_all() -> None:
    """Import whatever is named."""
    _Limit.folders = None


def limit_to(*folders: Path) -> None:
    """Import only modules that are in these folders; without any, none."""
    _Limit.folders = tuple(folder.resolve() for folder in folders)


def check(module: str) -> None:
    """Refuse a module that must not be imported; none is imported to find out.

    Args:
        module: Its dotted name. One that cannot be found is left to who imports it.

    Raises:
        SpecError: It is elsewhere.
    """
    folders = _Limit.folders
    if folders is None or module in sys.modules or module.partition(".")[0] == "raykd":
        return
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    places = _places(spec)
    if places and all(any(p.is_relative_to(f) for f in folders) for p in places):
        return
    where = f"which is in {places[0]}" if places else "which is part of Python"
    raise SpecError(
        f"'{module}' is code, {where}, and is not run without permission",
        hint=f"look at it, then allow it with {ALLOW}"
        + ("; a sweep also runs code next to its file" if not folders else ""),
    )


def _places(spec: ModuleSpec) -> list[Path]:
    """Where a module, or a package, is."""
    if spec.submodule_search_locations is not None:
        return [Path(place).resolve() for place in spec.submodule_search_locations]
    return [Path(spec.origin).resolve()] if spec.has_location and spec.origin else []
