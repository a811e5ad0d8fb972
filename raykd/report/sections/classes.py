"""Which classes each arm gets right, and what it takes the others for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raykd.report.section import Section, template
from raykd.results.class_scores import ClassScore, class_scores
from raykd.results.records import SweepResult
from raykd.results.summary import arm_summaries, metric_of, named, rank_arms

MAX_LISTED = 3
COLUMNS = ("arm", "class", "test rows", "right (recall)", "precision", "taken for")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassesRecord:
    """One table per task whose rows have classes: arms and their classes down."""

    heading: str
    columns: tuple[str, ...]
    tables: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]


def record(result: SweepResult) -> ClassesRecord | None:
    """None where no confirm run recorded the classes of its answers."""
    tables, findings = [], []
    for task in (t.name for t in result.tasks):
        order = rank_arms(arm_summaries(result, task), metric_of(result, task)[1])
        known = {arm.name: class_scores(result, task, arm.name) for arm in order}
        known = {name: scores for name, scores in known.items() if scores}
        if known:
            rows = tuple(_cells(name, score) for name, own in known.items() for score in own)
            tables.append((task, rows))
            findings.append(_hardest(task, *next(iter(known.items()))))
    if not tables:
        return None
    return ClassesRecord(heading="; ".join(findings), columns=COLUMNS, tables=tuple(tables))


def render(r: ClassesRecord) -> str:
    """The tables."""
    return template("classes", r)


def _hardest(task: str, arm: str, scores: tuple[ClassScore, ...]) -> str:
    """The class that the best arm gets right least often, next to the easiest one."""
    known = sorted((s for s in scores if s.rows), key=lambda s: s.recall)
    low, high = known[0], known[-1]
    return (
        f"{task}: {named(arm)} gets {_percent(low.recall)} of {low.name} right and "
        f"{_percent(high.recall)} of {high.name}"
    )


def _cells(arm: str, score: ClassScore) -> tuple[str, ...]:
    spread = "" if math.isnan(score.sd) else f" ± {100 * score.sd:.1f}"
    taken = [f"{name} {_percent(share)}" for name, share in score.taken_for]
    more = [f"{len(taken) - MAX_LISTED} more"] if len(taken) > MAX_LISTED else []
    return (
        arm,
        score.name,
        f"{score.rows:,}",
        _percent(score.recall).replace(" %", f"{spread} %"),
        _percent(score.precision),
        ", ".join([*taken[:MAX_LISTED], *more]) or "none",
    )


def _percent(share: float) -> str:
    return "n/a" if math.isnan(share) else f"{100 * share:.1f} %"


SECTION = Section(
    order=26, title="Which classes does each arm get right?", record=record, render=render
)
