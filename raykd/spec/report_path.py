"""Checks the path of the report: its template, and whether a file can be written there."""

from __future__ import annotations

import string
from pathlib import Path

_EXAMPLE = "for example reports/{name}.html"
_LONGEST_PART = 255


def path_problem(template: str) -> tuple[str, str]:
    """Why no report could be written to a path, in words that follow ``'path'``, and a hint.

    Args:
        template: The path; ``{name}`` stands for the name of the sweep.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        return "may hold {name} and no other braces", _EXAMPLE
    for _, field, layout, conversion in parts:
        if field is not None and (field != "name" or layout or conversion):
            return "may hold {name} and no other braces", _EXAMPLE
    if "://" in template:
        return "must be a file of this machine, not an address", _EXAMPLE
    path = Path(template.format(name="name"))
    if not template.strip() or template.endswith("/") or not path.name or path.name == "..":
        return "must name a file", _EXAMPLE
    if max(len(part.encode()) for part in path.parts) > _LONGEST_PART:
        return f"has a part of more than {_LONGEST_PART} bytes", _EXAMPLE
    try:
        if path.is_dir():
            return "must name a file, and there is a folder", f"for example {path / 'report.html'}"
        above = next((p for p in path.parents if p.exists()), None)
        if above is not None and not above.is_dir():
            return f"is below {above}, which is a file", _EXAMPLE
    except OSError as exc:  # a name that the file system refuses
        return f"cannot be used: {exc.strerror or exc}", _EXAMPLE
    return "", ""
