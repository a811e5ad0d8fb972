"""What a report section is, and the page's Jinja2 environment (autoescape on)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import jinja2

from raykd.report.charts import as_script_json
from raykd.results.records import SweepResult


class Record(Protocol):
    """What a section computed; tests read it, `Section.render` draws it."""

    @property
    def heading(self) -> str:
        """The finding in one sentence."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, kw_only=True, slots=True)
class Section(Generic[R]):
    """One section of the report; a file in ``sections/`` holds one as ``SECTION``.

    Attributes:
        order: Place on the page, low first.
        title: The question it answers.
        record: Computes what to show; None leaves the section out.
        render: Turns the record into HTML, through a template.
    """

    order: int
    title: str
    record: Callable[[SweepResult], R | None]
    render: Callable[[R], str]


@functools.cache
def environment() -> jinja2.Environment:
    """Templates of the report; every value is escaped and an unknown name is an error."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("raykd.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["script_json"] = as_script_json
    return env


def template(name: str, record: object) -> str:
    """Render ``templates/NAME.html`` with `record` in it."""
    return environment().get_template(f"{name}.html").render(r=record)
