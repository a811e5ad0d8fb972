"""The page of loggers, from what they declare."""

from __future__ import annotations

import inspect

from docs_pages import DOCS
from docs_pages.markdown import paragraphs
from docs_pages.methods import parameters
from raykd import registry
from raykd.cli.show import page_of

PATH = DOCS / "reference" / "loggers.md"
HEAD = """\
# Loggers

Generated from the declared parameters by `make docs-pages`; do not edit this page. `raykd show
NAME` prints the same facts for one name. [Log a sweep](../how-to/loggers.md) says what is logged,
and what happens where a logger is down.
"""


def text() -> str:
    """The whole page."""
    lines = [HEAD]
    for name in registry.names("loggers"):
        page = page_of("loggers", name)
        assert page is not None, name
        kind = registry.load("loggers", name)
        installed = f"Extra: `pip install 'raykd[{kind.extra}]'`." if kind.extra else "No extra."
        lines += [f"## {name}", "", page["title"], ""]
        lines += [*paragraphs(inspect.cleandoc(kind.__doc__ or "")), "", installed, ""]
        lines += [*parameters(page["parameters"]), ""]
    return "\n".join(lines[:-1]) + "\n"
