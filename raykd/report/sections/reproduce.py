"""Reproduce: command, resolved search space, versions, seeds, hardware, data."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raykd.report.charts import duration
from raykd.report.section import Section, template
from raykd.results.records import SweepResult

_BUDGETS = ("time_budget", "device_budget", "trial_time_limit")
_BLIND = ("random", "grid")
"""Search algorithms that read no results."""
_NOBODY_READS = ("version", "baseline", "user")
"""Parts of an environment that nobody has to read."""
_NOT_FACTS = ("command", "started", "merged", "packages", *_NOBODY_READS)
"""Those of the first, with what stands elsewhere on the page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReproduceRecord:
    """Everything needed to run the sweep again."""

    heading: str
    command: str
    spec_text: str
    facts: tuple[tuple[str, str], ...]
    packages: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    tasks: tuple[tuple[str, ...], ...]


def record(result: SweepResult) -> ReproduceRecord:
    """Never left out."""
    return ReproduceRecord(
        heading=_heading(result),
        command=result.command,
        spec_text=result.spec_text,
        facts=tuple(_facts(result)),
        packages=tuple((n, str(v)) for n, v in sorted(result.env.get("packages", {}).items())),
        columns=("task", "metric", "search sees", "result from", "rows", "cut to length", "data"),
        tasks=tuple(
            (t.name, f"{t.metric} ({t.mode})", t.select_on, t.report_on,
             ", ".join(f"{role} {n:,}" for role, n in t.rows.items()), f"{t.truncated:,}",
             t.data_fingerprint)
            for t in result.tasks
        ),
    )  # fmt: skip


def render(r: ReproduceRecord) -> str:
    """Plain text and tables."""
    return template("reproduce", r)


def _heading(result: SweepResult) -> str:
    """What the same command gives again, and where."""
    search = result.spec.get("search") or {}
    same = "The same command, file, versions and seeds give the same"
    budgets = [key for key in _BUDGETS if search.get(f"{key}_s") is not None]
    if not _is_repeatable(result):
        return (
            "The same configuration, seed and versions give the same trial; which configurations "
            "are searched depends on the order in which trials end"
        )
    where = _where(result)
    if budgets:
        limits = " and ".join(f"search.{key}" for key in budgets)
        return f"{same} trials{where}; how many of them {limits} allows depends on the machine"
    return f"{same} students{where}"


def _is_repeatable(result: SweepResult) -> bool:
    """Whether what is searched does not depend on which trial ends first."""
    search = result.spec.get("search") or {}
    if _name(search.get("algorithm")) in _BLIND and _name(search.get("scheduler")) == "none":
        return True
    return bool(result.lags) and None not in result.lags.values()


def _name(named: object) -> str:
    """The name of an algorithm or a scheduler, ``none`` without one."""
    return str(named.get("name", "none")) if isinstance(named, Mapping) else str(named or "none")


def _where(result: SweepResult) -> str:
    """On which number of slots; empty for any."""
    lags = {lag for lag in result.lags.values() if lag is not None}
    if not lags or (result.spec.get("search") or {}).get("lag", "auto") != "auto":
        return ""
    lag = ", ".join(str(n) for n in sorted(lags))
    return f" on as many slots; on any number with search.lag: {lag}"


def _facts(result: SweepResult) -> Iterator[tuple[str, str]]:
    yield "run", result.run
    if description := result.spec.get("description"):
        yield "description in the file", str(description)
    if result.started:
        began = datetime.datetime.fromtimestamp(result.started, tz=datetime.UTC)
        yield "started", f"{began:%Y-%m-%d %H:%M:%S} UTC"
    if result.finished:
        yield "took", duration(result.worked or result.finished - result.started)
    yield "search seed", str((result.spec.get("search") or {}).get("seed", "n/a"))
    lags = dict.fromkeys(lag for lag in result.lags.values() if lag is not None)
    if lags:
        yield (
            "search lag",
            ", ".join(str(lag) for lag in lags)
            + (" (as search.lag, it repeats the search on any number of slots)"),
        )
    seeds = (result.spec.get("confirm") or {}).get("seeds", ())
    if isinstance(seeds, Mapping):
        looks = ", ".join(str(n) for n in seeds["then"])
        yield "confirm seeds", f"{seeds['start']}, then {looks} where nothing was decided before"
    else:
        yield "confirm seeds", ", ".join(str(s) for s in seeds) or "none"
    for teacher in result.teachers:
        yield f"teacher of {teacher.task}", teacher.fingerprint
    for name, value in result.env.items():
        if name not in _NOT_FACTS and value not in ("", [], {}, None):
            yield name, _text([*map(_resumption, value)] if name == "resumed" else value)


def _resumption(env: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth reading of the environment of a resumption."""
    return {name: value for name, value in env.items() if name not in _NOBODY_READS}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_text(v) for v in value)
    return str(value)


SECTION = Section(order=120, title="Reproduce", record=record, render=render)
