"""The page of methods, training, search algorithms and schedulers, from what they declare."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

from docs_pages import DOCS
from docs_pages.markdown import paragraphs, table
from raykd import registry
from raykd.cli.show import page_of, section_page

PATH = DOCS / "reference" / "methods.md"
HEAD = """\
# Methods and their parameters

Generated from the declared parameters by `make docs-pages`; do not edit this page. `raykd show
NAME` prints the same facts for one name. Every parameter of a method and of training is either one
value or a [domain to search](search-space.md#domains).
"""


def text() -> str:
    """The whole page."""
    lines = [HEAD]
    for name in registry.names("methods"):
        lines += [*_method(name), ""]
    lines += ["## Training", "", "The `train` section, the same for every arm.", ""]
    lines += parameters(_page(section_page("train"))["parameters"])
    for kind, title in (("algorithms", "Search algorithms"), ("schedulers", "Schedulers")):
        lines += ["", f"## {title}"]
        for name in registry.names(kind):
            page = _page(page_of(kind, name))
            lines += ["", f"### {name}", "", page["title"], ""]
            lines += parameters(page["parameters"])
    return "\n".join(lines) + "\n"


def parameters(declared: Sequence[dict[str, str]]) -> list[str]:
    """The table of declared parameters; the column of symbols appears only where there are some."""
    if not declared:
        return ["No parameters."]
    with_symbols = any(p["symbol"] for p in declared)
    in_paper = ("in the paper",) if with_symbols else ()
    return table(
        ("parameter", "meaning", "default", "allowed", *in_paper),
        [
            (f"`{p['name']}`", p["help"], _default(p["default"]), p["bounds"],
             *((p["symbol"],) if with_symbols else ()))
            for p in declared
        ],
    )  # fmt: skip


def _default(value: str) -> str:
    return value if value == "required" else f"`{value}`"


def _method(name: str) -> list[str]:
    page = _page(page_of("methods", name))
    documented = inspect.cleandoc(registry.load("methods", name).__doc__ or "")
    lines = [f"## {name}: {page['title']}", "", *paragraphs(documented), ""]
    for fact, words in page["facts"].items():
        linked = re.sub(r"https://\S+", r"<\g<0>>", words)
        lines.append(f"- {fact}: {linked}")
    return [*lines, "", *parameters(page["parameters"])]


def _page(page: dict[str, Any] | None) -> dict[str, Any]:
    assert page is not None
    return page
