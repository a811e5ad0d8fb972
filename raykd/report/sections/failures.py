"""What failed: trials grouped by their error, with the first traceback and the nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from raykd.report.commands import again
from raykd.report.section import Section, template
from raykd.results.records import Status, SweepResult, TrialResult

MAX_LISTED = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Trials that failed with the same error."""

    error: str
    count: int
    trials: str
    nodes: str
    traceback: str
    rerun: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FailuresRecord:
    """All groups, largest first."""

    heading: str
    groups: tuple[Group, ...]


def record(result: SweepResult) -> FailuresRecord:
    """Also when nothing failed: the heading then says so."""
    failed = [t for t in result.trials if t.status is Status.FAILED]
    alike: dict[str, list[TrialResult]] = {}
    for trial in failed:
        alike.setdefault(_kind(trial.error), []).append(trial)
    groups = sorted(alike.values(), key=len, reverse=True)
    heading = f"{len(failed)} of {len(result.trials)} trials failed, for {len(groups)} "
    heading += "reason" if len(groups) == 1 else "reasons"
    return FailuresRecord(
        heading=heading if failed else "No trial failed",
        groups=tuple(_group(g) for g in groups),
    )


def render(r: FailuresRecord) -> str:
    """The groups."""
    return template("failures", r)


def _kind(error: str) -> str:
    """An error without its numbers and addresses, so that equal causes fall together."""
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "#", error)


def _group(trials: list[TrialResult]) -> Group:
    ids = [t.trial_id for t in trials[:MAX_LISTED]]
    more = f" and {len(trials) - MAX_LISTED} more" if len(trials) > MAX_LISTED else ""
    first = trials[0]
    return Group(
        error=first.error or "no message",
        count=len(trials),
        trials=", ".join(ids) + more,
        nodes=", ".join(sorted({t.node for t in trials if t.node})) or "not known",
        traceback=first.traceback,
        rerun=again(first),
    )


SECTION = Section(order=90, title="What failed", record=record, render=render)
