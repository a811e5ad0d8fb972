"""What each arm cost in device time, and what its students cost next to the teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raykd.report.charts import duration, hours
from raykd.report.section import Section, template
from raykd.results.costs import teacher_share
from raykd.results.records import Status, SweepResult, TeacherRecord
from raykd.results.scales import Scale
from raykd.results.student_speed import HOW_TIMED, describe_size, describe_speed, is_measurable
from raykd.results.summary import ArmSummary, arm_summaries, scale_of

BEYOND = "of them beyond a constraint"
COLUMNS = (
    "arm", "best in search", "completed", BEYOND, "pruned", "failed",
    "median trial",
    "device hours of the search", "of the confirm runs", "share of the teacher", "in all",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CostsRecord:
    """A table of each task, and sentences on each teacher that is a model here."""

    heading: str
    columns: tuple[str, ...]
    tasks: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]
    speeds: tuple[str, ...]
    how_timed: str


def record(result: SweepResult) -> CostsRecord | None:
    """None before any trial."""
    if not result.trials:
        return None
    tasks, totals, shares = [], [], []
    for task in (t.name for t in result.tasks):
        scale, rows = scale_of(result, task), []
        for arm in arm_summaries(result, task):
            share = teacher_share(result, task, arm.name)
            total = arm.device_seconds + arm.confirm_seconds + share
            rows.append(_row(arm, scale, share, total))
            totals.append(total)
            shares.append(share)
        tasks.append((task, tuple(rows)))
    is_bounded = bool((result.spec.get("search") or {}).get("constraints"))
    shown = [k for k, name in enumerate(COLUMNS) if is_bounded or name != BEYOND]
    measurable = [t for t in result.teachers if is_measurable(result, t)]
    spent = math.fsum(totals)
    teachers = 100 * math.fsum(shares) / spent if spent else 0.0
    return CostsRecord(
        heading=f"{hours(spent)} device hours in all, {teachers:.2g} % of them for teachers",
        columns=tuple(COLUMNS[k] for k in shown),
        tasks=tuple(
            (task, tuple(tuple(row[k] for k in shown) for row in rows)) for task, rows in tasks
        ),
        speeds=tuple(_speed(result, teacher) for teacher in measurable),
        how_timed=HOW_TIMED if any(teacher.speed for teacher in measurable) else "",
    )


def render(r: CostsRecord) -> str:
    """The tables."""
    return template("costs", r)


def _speed(result: SweepResult, teacher: TeacherRecord) -> str:
    place = f"{teacher.task} ({teacher.name})" if teacher.name else teacher.task
    return f"{place}: {describe_size(result, teacher)}. {describe_speed(result, teacher)}"


def _row(arm: ArmSummary, scale: Scale, share: float, total: float) -> tuple[str, ...]:
    return (
        arm.name,
        scale.show(arm.best.objective) if arm.best else "n/a",
        str(arm.counts.get(Status.COMPLETED, 0)),
        str(arm.infeasible),
        str(arm.counts.get(Status.PRUNED, 0)),
        str(arm.counts.get(Status.FAILED, 0)),
        duration(arm.trial_seconds),
        hours(arm.device_seconds),
        hours(arm.confirm_seconds),
        hours(share),
        hours(total),
    )


SECTION = Section(order=22, title="What did it cost?", record=record, render=render)
