"""The runs of a comparison: what each of them tried, and the settings in which they differ."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raykd.report.section import Section, template
from raykd.results.records import SweepResult

_APART = ("name", "description", "methods", "report")
"""Parts of a search space that say nothing of how arms were trained, or stand elsewhere."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunsRecord:
    """A column for each run."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def record(result: SweepResult) -> RunsRecord | None:
    """None for a single run."""
    runs = result.env.get("merged", ())
    if len(runs) < 2:
        return None
    settings = [dict(_flat(_compared(run))) for run in runs]
    keys = dict.fromkeys(key for of in settings for key in of)
    rows = [(key, *(of.get(key, "") for of in settings)) for key in keys]
    differ = [row for row in rows if len(set(row[1:])) > 1]
    facts = [
        ("started", *(_when(run) for run in runs)),
        ("arms", *(", ".join(run.get("arms", ())) for run in runs)),
        ("trials", *(str(run.get("trials", "")) for run in runs)),
    ]
    count = f"{len(differ)} settings" if len(differ) != 1 else "one setting"
    return RunsRecord(
        heading=f"{len(runs)} runs that differ in {count}"
        if differ
        else f"{len(runs)} runs of the same settings",
        columns=("what", *(str(run["run"]) for run in runs)),
        rows=(*facts, *differ),
    )


def render(r: RunsRecord) -> str:
    """The table."""
    return template("runs", r)


def _compared(run: Mapping[str, Any]) -> dict[str, Any]:
    spec = {key: value for key, value in (run.get("spec") or {}).items() if key not in _APART}
    return {
        **spec,
        "versions of packages": run.get("packages", {}),
        "rows of": run.get("data", {}),
        "teacher of": {
            " ".join((task, *([f"({name})"] if name else []))): identity
            for task, of_task in run.get("teachers", {}).items()
            for name, identity in of_task.items()
        },
    }


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every entry by its dotted key, as text."""
    for key, value in values.items():
        path = f"{before} {key}" if " " in before else f"{before}.{key}".lstrip(".")
        if isinstance(value, Mapping):
            yield from _flat(value, path)
        elif isinstance(value, list | tuple):
            yield path, ", ".join(str(one) for one in value)
        else:
            yield path, "null" if value is None else str(value)


def _when(run: Mapping[str, Any]) -> str:
    if not run.get("started"):
        return "n/a"
    return f"{datetime.datetime.fromtimestamp(run['started'], tz=datetime.UTC):%Y-%m-%d %H:%M} UTC"


SECTION = Section(order=15, title="Which runs are compared?", record=record, render=render)
