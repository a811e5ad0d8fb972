"""All arms: confirmed means with intervals, differences, cost; over several tasks their ranks."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from raykd.report.charts import (
    Figure,
    arm_styles,
    duration,
    figure,
    hours,
    plain,
    reference_line,
)
from raykd.report.section import Section, template
from raykd.results.records import Status, SweepResult
from raykd.results.scales import Scale
from raykd.results.stats import can_reach_significance, mean_ranks
from raykd.results.summary import (
    ArmSummary,
    arm_summaries,
    metric_of,
    named,
    no_teacher_arm,
    rank_arms,
    scale_of,
    teacher_score,
)
from raykd.results.verdict import verdict

MAX_NAMED = 4
P_VALUE = "p (Holm)"
COLUMNS = (
    "arm", "confirmed mean", "95 % interval", "sd", "confirm runs", "difference to baseline",
    P_VALUE, "gap recovered",
)  # fmt: skip
COST_COLUMNS = (
    "arm", "best in search", "completed", "pruned", "failed", "median trial",
    "device hours of the search", "device hours of the confirm runs",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmRow:
    """The cells of one arm in the order of the task's columns."""

    cells: tuple[str, ...]
    mark: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskArms:
    """The tables and the chart of one task."""

    task: str
    student: str
    columns: tuple[str, ...]
    caption: str
    rows: tuple[ArmRow, ...]
    costs: tuple[tuple[str, ...], ...]
    chart: Figure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmsRecord:
    """All tasks, and the matrix of tasks and arms when there are several."""

    heading: str
    cost_columns: tuple[str, ...]
    baseline: str
    tasks: tuple[TaskArms, ...]
    matrix_columns: tuple[str, ...]
    matrix: tuple[tuple[str, ...], ...]


def record(result: SweepResult) -> ArmsRecord | None:
    """The comparison; None before any task was prepared."""
    if not result.tasks:
        return None
    ranks = _ranks(result)
    columns, matrix = _matrix(result, ranks) if len(result.tasks) > 1 else ((), ())
    return ArmsRecord(
        heading=_heading(result, ranks),
        cost_columns=COST_COLUMNS,
        baseline=result.baseline,
        tasks=tuple(_task(result, t.name, i) for i, t in enumerate(result.tasks)),
        matrix_columns=columns,
        matrix=matrix,
    )


def render(r: ArmsRecord) -> str:
    """Tables first: they are readable without script."""
    return template("arms", r)


def _task(result: SweepResult, task: str, index: int) -> TaskArms:
    arms = arm_summaries(result, task)
    scale = scale_of(result, task)
    info = result.task(task)
    order = rank_arms(arms, info.mode)
    marks = _marks(result, task, len(order))
    pairs = [a.versus.interval.n for a in arms if a.versus is not None]
    has_p = can_reach_significance([a.p_holm for a in arms], max(pairs, default=0))
    return TaskArms(
        task=task,
        student=f"{info.student}, {info.student_parameters:,} weights",
        columns=COLUMNS if has_p else tuple(c for c in COLUMNS if c != P_VALUE),
        caption=_caption(info.mode, arms, has_p=has_p),
        rows=tuple(
            ArmRow(cells=_cells(a, scale, result.baseline, has_p=has_p), mark=marks.get(a.name, ""))
            for a in arms
        ),
        costs=tuple(_costs(a, scale) for a in arms),
        chart=_dots(result, task, arms, f"arms-{index}") if order else None,
    )


def _marks(result: SweepResult, task: str, count: int) -> dict[str, str]:
    """What is said beside arms: the best one, or those that no other one is ahead of."""
    found = verdict(result, task)
    if found.decided:
        return {found.leader: "best"}
    return dict.fromkeys(found.leading, "ahead") if len(found.leading) < count else {}


def _caption(mode: str, arms: tuple[ArmSummary, ...], *, has_p: bool) -> str:
    """What the columns mean, and what is missing."""
    parts = ["Positive differences are better"]
    if mode == "min":
        parts[0] += ", although lower values are"
    parts.append("Gap recovered = (arm - no teacher) / (teacher - no teacher)")
    if has_p:
        parts.append("p is that of sign flips, corrected over the arms")
    else:
        others = sum(a.versus is not None for a in arms)
        parts.append(
            f"No p values: with so few seeds the sign-flip test of {others} comparisons cannot "
            "get below 0.05, whatever the scores"
            if others
            else "No arm can be compared with the baseline"
        )
    return ". ".join(parts) + "."


def _runs(arm: ArmSummary) -> str:
    """Confirm runs that count, and what became of the others."""
    planned = len(arm.seeds) + len(arm.lost) + len(arm.missing)
    if planned == len(arm.seeds):
        return str(planned)
    lost = f"{len(arm.lost)} lost" if arm.lost else ""
    missing = f"{len(arm.missing)} not run" if arm.missing else ""
    return f"{len(arm.seeds)} of {planned} ({', '.join(p for p in (lost, missing) if p)})"


def _cells(arm: ArmSummary, scale: Scale, baseline: str, *, has_p: bool) -> tuple[str, ...]:
    e, d = arm.confirmed, arm.versus
    interval = f"{scale.show(e.low)} to {scale.show(e.high)}" if e and e.has_interval else "n/a"
    if arm.name == baseline:
        difference = "baseline"
    elif d is None:
        difference = "n/a"
    else:
        sure = "" if not d.undecided else ", not told apart"
        ends = f"{scale.signed(d.interval.low)} to {scale.signed(d.interval.high)}"
        ends = f" ({ends}{sure})" if d.interval.has_interval else " (one seed)"
        difference = scale.signed(d.interval.mean) + ends
    return (
        arm.name,
        scale.show(arm.score),
        interval,
        scale.signed(e.sd).lstrip("+") if e else "n/a",
        _runs(arm),
        difference,
        *(["n/a" if arm.p_holm is None else f"{arm.p_holm:.3f}"] if has_p else []),
        "n/a" if arm.gap is None else f"{arm.gap * 100:.0f} %",
    )


def _costs(arm: ArmSummary, scale: Scale) -> tuple[str, ...]:
    return (
        arm.name,
        scale.show(arm.best.objective) if arm.best else "n/a",
        str(arm.counts.get(Status.COMPLETED, 0)),
        str(arm.counts.get(Status.PRUNED, 0)),
        str(arm.counts.get(Status.FAILED, 0)),
        duration(arm.trial_seconds),
        hours(arm.device_seconds),
        hours(arm.confirm_seconds),
    )


def _dots(result: SweepResult, task: str, arms: tuple[ArmSummary, ...], key: str) -> Figure:
    """Means with intervals as bars, seeds as dots; the teacher as a line."""
    scale, styles = scale_of(result, task), arm_styles(result.arms)
    metric, mode = metric_of(result, task)
    chart = go.Figure()
    for arm in reversed(rank_arms(arms, mode)):
        e, style = arm.confirmed, styles[arm.name]
        assert e is not None
        ends = (e.high - e.mean, e.mean - e.low) if e.has_interval else (0.0, 0.0)
        above, below = (max(end, 0.0) * scale.factor for end in ends)
        chart.add_scatter(
            x=[v * scale.factor for v in arm.seeds.values()], y=[plain(arm.name)] * e.n,
            mode="markers", showlegend=False, hovertemplate="seed %{customdata}: %{x:.4g}",
            customdata=[str(s) for s in arm.seeds], name=plain(arm.name),
            marker={"symbol": f"{style.symbol}-open", "size": 8, "color": style.colour},
        )  # fmt: skip
        chart.add_scatter(
            x=[e.mean * scale.factor], y=[plain(arm.name)], mode="markers", showlegend=False,
            name=plain(arm.name), hovertemplate="mean %{x:.4g}",
            marker={"symbol": style.symbol, "size": 13, "color": style.colour},
            error_x={"array": [above], "arrayminus": [below], "symmetric": False,
                     "color": style.colour, "thickness": 2.5},
        )  # fmt: skip
    teacher = teacher_score(result, task)
    none = no_teacher_arm(tuple(arms))
    constant = result.task(task).constant.get("test", ())
    if constant:
        best = min(constant) if mode == "min" else max(constant)
        reference_line(
            chart, best * scale.factor, "same answer", axis="x", dash="longdashdot", above=14
        )
    if none is not None and none.score is not None:
        reference_line(chart, none.score * scale.factor, "no teacher", axis="x", dash="dot")
    if teacher is not None:
        reference_line(chart, teacher * scale.factor, "teacher", axis="x", dash="dash")
    chart.update_layout(xaxis_title=scale.axis(metric))
    chart.update_yaxes(type="category")
    return figure(
        chart,
        key=key,
        title=f"{metric} of every arm on {task}",
        finding=(
            "Filled marks are means with their 95 % intervals, open marks the seeds. "
            "Differences are paired by seed, so arms may be told apart though these overlap."
            + (' "Same answer" is the best score of one answer for every row.' if constant else "")
        ),
        columns=("arm", "mean", "low", "high", "seeds"),
        rows=[
            (
                a.name,
                scale.show(a.score),
                scale.show(a.confirmed.low),
                scale.show(a.confirmed.high),
                ", ".join(f"{s}: {scale.show(v)}" for s, v in a.seeds.items()),
            )
            for a in arms
            if a.confirmed
        ],
        height=130 + 55 * sum(a.confirmed is not None for a in arms),
    )


def _ranks(result: SweepResult) -> dict[str, float]:
    scores = [
        {a.name: a.score for a in arm_summaries(result, t.name) if a.score is not None}
        for t in result.tasks
    ]
    return mean_ranks(scores, [t.mode for t in result.tasks])


def _matrix(
    result: SweepResult, ranks: dict[str, float]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    tables = {t.name: {a.name: a for a in arm_summaries(result, t.name)} for t in result.tasks}
    rows = []
    for arm in result.arms:
        cells = [
            scale_of(result, task).show(arms[arm].score) if arm in arms else "n/a"
            for task, arms in tables.items()
        ]
        rank = f"{ranks[arm]:.2f}" if arm in ranks else "n/a"
        rows.append((arm, *cells, rank))
    teacher = [scale_of(result, t).show(teacher_score(result, t)) for t in tables]
    rows.append(("(teacher)", *teacher, ""))
    return ("arm", *tables, "mean rank"), tuple(rows)


def _heading(result: SweepResult, ranks: dict[str, float]) -> str:
    if not ranks:
        return "No arm was confirmed on fresh seeds yet"
    if len(result.tasks) > 1:
        order_by = sorted(ranks, key=lambda arm: ranks[arm])[:MAX_NAMED]
        listed = ", ".join(f"{named(arm)} {ranks[arm]:.2f}" for arm in order_by)
        return (
            f"Mean ranks over {len(result.tasks)} tasks: {listed} "
            f"(of {len(ranks)} arms; {(len(ranks) + 1) / 2:g} if all were alike)"
        )
    task = result.tasks[0].name
    scale = scale_of(result, task)
    order = rank_arms(arm_summaries(result, task), result.tasks[0].mode)
    listed = ", ".join(f"{named(a.name)} {scale.show(a.score)}" for a in order)
    teacher = teacher_score(result, task)
    return f"{listed}" + (f"; the teacher has {scale.show(teacher)}" if teacher is not None else "")


SECTION = Section(order=20, title="All arms", record=record, render=render)
