"""The report as Markdown: verdict, tables, caveats and settings, for a pull request or an appendix.

A section takes part with a template of its own, ``templates/NAME.md``.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable
from typing import Any

import jinja2
import markupsafe

from raykd.report.build import drawn, head
from raykd.results.records import SweepResult

_SPECIAL = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)")


def render_markdown(result: SweepResult) -> str:
    """The whole page as text; the same records give the same bytes."""
    page = {**head(result), "sections": drawn(result, _bodies())}
    return _tidy(_environment().get_template("page.md").render(r=page))


def escaped(text: object) -> markupsafe.Markup:
    """Text of a user, which is not read as Markdown or HTML and stays in one line."""
    if isinstance(text, markupsafe.Markup):
        return text
    shown = html.escape(" ".join(str(text).split()), quote=False)
    return markupsafe.Markup(_SPECIAL.sub(lambda match: "\\" + match[0], shown))


def _bodies() -> dict[str, Callable[[Any], str]]:
    """What draws a section, by its name."""
    templates = [name for name in _environment().list_templates() if name.endswith(".md")]
    return {name.removesuffix(".md"): functools.partial(_body, name) for name in templates}


def _body(template: str, record: object) -> str:
    return _tidy(_environment().get_template(template).render(r=record)).strip()


@functools.cache
def _environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("raykd.report", "templates"),
        autoescape=True,
        finalize=escaped,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters["fenced"] = _fenced
    env.filters["arm_cells"] = _arm_cells
    return env


def _fenced(text: str, language: str) -> markupsafe.Markup:
    """A block of code, within a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return markupsafe.Markup(f"{fence}{language}\n{text.strip()}\n{fence}")


def _arm_cells(row: Any) -> tuple[Any, ...]:  # a row of the table of arms
    """The cells of an arm with the remark next to its name."""
    first = f"{row.cells[0]} ({row.mark})" if row.mark else row.cells[0]
    return (first, *row.cells[1:])


def _tidy(text: str) -> str:
    """Text without blanks at the ends of lines, and with one empty line at most."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"
