"""Loggers: where to look at what was logged, and what was not sent."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.report.section import Section, template
from raykd.results.records import SweepResult

_NO_END = "no end on record: the sweep still runs, or was killed"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggersRecord:
    """A row for each logger, and what to do where something is missing."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    hint: str


def record(result: SweepResult) -> LoggersRecord | None:
    """None where the search space names no logger."""
    names = [logger["name"] for logger in result.spec.get("loggers") or ()]
    if not names:
        return None
    incomplete = [n for n in names if n not in result.loggers or result.loggers[n].unsent]
    return LoggersRecord(
        heading=_heading(names, incomplete),
        columns=("logger", "where", "sent", "not sent", "why not"),
        rows=tuple(_row(name, result) for name in names),
        hint=f"raykd sweep --resume runs/{result.run} hands on what is missing."
        if incomplete
        else "",
    )


def render(r: LoggersRecord) -> str:
    """A table and a sentence."""
    return template("loggers", r)


def _heading(names: list[str], incomplete: list[str]) -> str:
    if incomplete:
        return f"Not everything was logged: {', '.join(incomplete)}"
    return f"Everything was logged: {', '.join(names)}"


def _row(name: str, result: SweepResult) -> tuple[str, ...]:
    logger = result.loggers.get(name)
    if logger is None:
        return (name, "", "", "", _NO_END)
    return (name, logger.place, f"{logger.sent:,}", f"{logger.unsent:,}", logger.why)


SECTION = Section(order=115, title="What was logged elsewhere?", record=record, render=render)
