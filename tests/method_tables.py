"""Writes docs/methods.md from what methods, training, algorithms and schedulers declare.

``make docs`` runs it; tests/test_docs.py checks that the file is current.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from raykd import registry
from raykd.cli.show import page_of
from raykd.params import describe, show
from raykd.training.settings import TrainSettings

FILE = Path(__file__).parents[1] / "docs" / "methods.md"
HEAD = """\
# Methods and their parameters

Written by `make docs` from the declared parameters; do not edit it. `raykd show NAME` prints the
same for one name. Each parameter of a method and of training may be one value or a range to search.
"""
COLUMNS = ("parameter", "default", "allowed", "in the paper", "meaning")


def text() -> str:
    """The whole file."""
    parts = [HEAD.rstrip()]
    for name in registry.names("methods"):
        parts += ["", *_method(name)]
    parts += ["", "## Training", "", "The `train` section, the same for every arm."]
    parts += ["", *_table(_declared(TrainSettings))]
    for kind, title in (("algorithms", "Search algorithms"), ("schedulers", "Schedulers")):
        parts += ["", f"## {title}"]
        for name in registry.names(kind):
            page = _page(kind, name)
            parts += ["", f"### {name}", "", page["title"], "", *_table(page["parameters"])]
    return "\n".join(parts) + "\n"


def _method(name: str) -> list[str]:
    page = _page("methods", name)
    lines = [f"## {name}: {page['title']}", ""]
    lines += [inspect.cleandoc(registry.load("methods", name).__doc__ or "").replace("``", "`"), ""]
    lines += [f"- {fact}: {words}" for fact, words in page["facts"].items()]
    return [*lines, "", *_table(page["parameters"])]


def _page(kind: str, name: str) -> dict[str, Any]:
    page = page_of(kind, name)
    assert page is not None
    return page


def _declared(cls: type[Any]) -> list[dict[str, str]]:
    return [
        {
            "name": info.name,
            "default": show(info.default),
            "bounds": info.bounds() + (", null" if info.optional else ""),
            "symbol": info.symbol,
            "help": info.help,
        }
        for info in describe(cls)
    ]


def _table(parameters: list[dict[str, str]]) -> list[str]:
    if not parameters:
        return ["No parameters."]
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    for p in parameters:
        rows.append((f"`{p['name']}`", f"`{p['default']}`", p["bounds"], p["symbol"], p["help"]))
    return ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]


if __name__ == "__main__":
    FILE.write_text(text())
