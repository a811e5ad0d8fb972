"""All arms: confirmed means with intervals, and differences; over several tasks their ranks."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from raykd.report.charts import (
    Figure,
    arm_styles,
    figure,
    plain,
    reference_line,
)
from raykd.report.section import Section, template
from raykd.results.arm_teachers import all_scored, label, teacher_scores
from raykd.results.differences import MIN_SEEDS
from raykd.results.records import SweepResult
from raykd.results.scales import Scale
from raykd.results.sentences import plural
from raykd.results.stats import ALPHA, TaskRanks, rank_over_tasks
from raykd.results.summary import (
    ArmSummary,
    TaskMetric,
    arm_summaries,
    named,
    no_teacher_arm,
    rank_arms,
    scale_of,
    task_metric,
)
from raykd.results.verdict import verdict

MAX_NAMED = 4
P_VALUE = "p (Holm)"
LEAST_P = 0.001  # what a smaller one is written as
COLUMNS = (
    "arm", "confirmed mean", "95 % interval", "sd", "confirm runs", "difference to baseline",
    P_VALUE, "gap recovered",
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
    chart: Figure | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmsRecord:
    """All tasks, and the matrix of tasks and arms when there are several."""

    heading: str
    baseline: str
    tasks: tuple[TaskArms, ...]
    matrix_columns: tuple[str, ...]
    matrix: tuple[tuple[str, ...], ...]
    matrix_note: str = ""


def record(result: SweepResult) -> ArmsRecord | None:
    """The comparison; None before any task was prepared."""
    if not result.tasks:
        return None
    ranks = _ranks(result)
    columns, matrix = _matrix(result, ranks) if len(result.tasks) > 1 else ((), ())
    return ArmsRecord(
        heading=_heading(result, ranks),
        baseline=result.baseline,
        tasks=tuple(_task(result, t.name, i) for i, t in enumerate(result.tasks)),
        matrix_columns=columns,
        matrix=matrix,
        matrix_note=_matrix_note(ranks),
    )


def render(r: ArmsRecord) -> str:
    """Tables first: they are readable without script."""
    return template("arms", r)


def _task(result: SweepResult, task: str, index: int) -> TaskArms:
    arms = arm_summaries(result, task)
    measure = task_metric(result, task)
    scale, info = measure.scale, result.task(task)
    order = rank_arms(arms, info.mode)
    marks = _marks(result, task, len(order))
    has_p = any(a.p_holm is not None for a in arms)
    return TaskArms(
        task=task,
        student=f"{info.student}, {info.student_parameters:,} weights",
        columns=COLUMNS if has_p else tuple(c for c in COLUMNS if c != P_VALUE),
        caption=_caption(
            measure, arms, has_p=has_p, is_scored=all_scored(result, task),
            tasks=len(result.tasks),
        ),
        rows=tuple(
            ArmRow(
                cells=_cells(a, scale, result.baseline, measure.counted, has_p=has_p),
                mark=marks.get(a.name, ""),
            )
            for a in arms
        ),
        chart=_dots(result, task, arms, f"arms-{index}") if order else None,
    )  # fmt: skip


def _marks(result: SweepResult, task: str, count: int) -> dict[str, str]:
    """The remark next to an arm: the best one, or one that no other is ahead of."""
    outcome = verdict(result, task)
    if outcome.decided:
        return {outcome.leader: "best"}
    return dict.fromkeys(outcome.leading, "ahead") if len(outcome.leading) < count else {}


def _caption(
    measure: TaskMetric,
    arms: tuple[ArmSummary, ...],
    *,
    has_p: bool,
    is_scored: bool,
    tasks: int,
) -> str:
    """What the columns mean, and what is missing."""
    lower = ", although lower values are" if measure.mode == "min" else ""
    parts = [f"Positive differences are better{lower}"]
    parts.append("Gap recovered = (arm - no teacher) / (teacher - no teacher)")
    if any(a.teacher is not None and a.teacher.names != ("",) for a in arms):
        parts.append(
            "Each arm has the teacher that its confirm runs learnt from"
            + ("" if is_scored else ", which is the best of those that a combination is made of")
        )
    if has_p:
        parts.append(
            "p is that of a t test, and with its interval corrected for the number of arms"
            f"{' and all looks at the seeds' * (len(measure.look.looks) > 1)}: in "
            "95 % of tables without a difference none is found" + _over_tasks(tasks)
        )
    elif any(a.versus is not None for a in arms):
        parts.append(
            f"No p values: fewer than {MIN_SEEDS} {plural(measure.counted)} decide nothing"
        )
    else:
        parts.append("No arm can be compared with the baseline")
    return ". ".join(parts) + "."


def _over_tasks(tasks: int) -> str:
    """How often one of several tables shows a difference where there is none."""
    if tasks == 1:
        return ""
    some = 100 * (1 - (1 - ALPHA) ** tasks)
    return (
        f"; but each table is corrected by itself, and with {tasks} tasks up to {some:.0f} % of "
        "such sweeps show one in some table. The heading of the page is corrected over the tasks"
    )


def _runs(arm: ArmSummary) -> str:
    """Confirm runs that count, and what became of the others."""
    planned = len(arm.runs) + len(arm.lost) + len(arm.missing)
    counts = {"lost": arm.lost, "not run": arm.missing, "collapsed": arm.collapsed}
    kinds = ", ".join(f"{len(seeds)} {what}" for what, seeds in counts.items() if seeds)
    ran = str(planned) if planned == len(arm.runs) else f"{len(arm.runs)} of {planned}"
    return f"{ran} ({kinds})" if kinds else ran


def _cells(
    arm: ArmSummary, scale: Scale, baseline: str, counted: str, *, has_p: bool
) -> tuple[str, ...]:
    e, d = arm.confirmed, arm.versus
    interval = f"{scale.show(e.low)} to {scale.show(e.high)}" if e and e.has_interval else "n/a"
    gap = arm.gap
    share = (
        f"{100 * gap.share:.0f} % ({100 * gap.low:.0f} to {100 * gap.high:.0f})" if gap else "n/a"
    )
    if arm.name == baseline:
        difference = "baseline"
    elif d is None:
        difference = "n/a"
    else:
        sure = "" if not d.undecided else ", not told apart"
        wide = d.corrected
        ends = f"{scale.signed(wide.low)} to {scale.signed(wide.high)}"
        difference = scale.signed(d.mean) + (f" ({ends}{sure})" if d.n > 1 else f" (one {counted})")
    return (
        arm.name,
        scale.show(arm.score),
        interval,
        scale.signed(e.sd).lstrip("+") if e else "n/a",
        _runs(arm),
        difference,
        *([_p_value(arm.p_holm)] if has_p else []),
        share,
    )


def _p_value(p: float | None) -> str:
    if p is None:
        return "n/a"
    return f"{p:.3f}" if p >= LEAST_P else f"< {LEAST_P}"


def _dots(result: SweepResult, task: str, arms: tuple[ArmSummary, ...], key: str) -> Figure:
    """Means with intervals as bars, seeds or searches as dots; the teacher as a line."""
    measure, styles = task_metric(result, task), arm_styles(result.arms)
    scale, metric, mode, one = measure.scale, measure.metric, measure.mode, measure.counted
    chart = go.Figure()
    for arm in reversed(rank_arms(arms, mode)):
        e, style = arm.confirmed, styles[arm.name]
        assert e is not None
        ends = (e.high - e.mean, e.mean - e.low) if e.has_interval else (0.0, 0.0)
        above, below = (max(end, 0.0) * scale.factor for end in ends)
        chart.add_scatter(
            x=[v * scale.factor for v in arm.seeds.values()], y=[plain(arm.name)] * e.n,
            mode="markers", showlegend=False, hovertemplate=one + " %{customdata}: %{x:.4g}",
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
    none = no_teacher_arm(tuple(arms))
    constant = result.task(task).constant.get("test", ())
    best = (min if mode == "min" else max)(constant, default=None)
    of_none = none.score if none is not None else None
    teachers = teacher_scores(result, task)
    references = [*((value, label(plain(name)), "dash") for name, value in teachers.items()),
              (of_none, "no teacher", "dot"), (best, "same answer", "longdashdot")]  # fmt: skip
    for row, (value, text, dash) in enumerate(references):  # labels in rows, which cannot overlap
        if value is not None:
            x = value * scale.factor
            reference_line(chart, x, text, axis="x", dash=dash, above=14 * row)
    chart.update_layout(xaxis_title=scale.axis(metric))
    chart.update_yaxes(type="category")
    return figure(
        chart,
        key=key,
        title=f"{metric} of every arm on {task}",
        finding=(
            f"Filled marks are means with their 95 % intervals, open marks the {plural(one)}. "
            f"Differences are paired by {one}, so arms may be told apart though these overlap."
            + (' "Same answer" is the best score of one answer for every row.' if constant else "")
        ),
        columns=("arm", "mean", "low", "high", plural(one)),
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


def _ranks(result: SweepResult) -> TaskRanks:
    scores = [
        {a.name: a.score for a in arm_summaries(result, t.name) if a.score is not None}
        for t in result.tasks
    ]
    return rank_over_tasks(scores, [t.mode for t in result.tasks])


def _matrix(
    result: SweepResult, ranks: TaskRanks
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Means of every arm on every task, with mean ranks where there is a test of them."""
    tables = {t.name: {a.name: a for a in arm_summaries(result, t.name)} for t in result.tasks}
    rows = []
    has_ranks = ranks.p is not None
    for arm in result.arms:
        cells = [
            scale_of(result, task).show(arms[arm].score) if arm in arms else "n/a"
            for task, arms in tables.items()
        ]
        rank = f"{ranks.means[arm]:.2f}" if arm in ranks.means else "n/a"
        rows.append((arm, *cells, *([rank] if has_ranks else [])))
    for name in dict.fromkeys(t.name for t in result.teachers):
        teacher = [scale_of(result, t).show(teacher_scores(result, t).get(name)) for t in tables]
        rows.append((f"({label(name)})", *teacher, *([""] if has_ranks else [])))
    return ("arm", *tables, *(["mean rank"] if has_ranks else [])), tuple(rows)


def _matrix_note(ranks: TaskRanks) -> str:
    """What the ranks say, and whether equal arms rank as differently."""
    if ranks.p is None:
        return "No ranks: a test of them takes three arms and two tasks."
    alike = (len(ranks.means) + 1) / 2
    return (
        f"Rank 1 is best; ties share a rank, and {alike:g} is that of arms that are alike. Only "
        f"arms confirmed on every task are ranked. Friedman's test: p = {ranks.p:.2g}."
    )


def _heading(result: SweepResult, ranks: TaskRanks) -> str:
    if not ranks.means:
        return "No arm was confirmed on fresh seeds yet"
    if len(result.tasks) > 1:
        return _rank_heading(ranks, len(result.tasks))
    task = result.tasks[0].name
    scale = scale_of(result, task)
    order = rank_arms(arm_summaries(result, task), result.tasks[0].mode)
    listed = ", ".join(f"{named(a.name)} {scale.show(a.score)}" for a in order)
    scores = teacher_scores(result, task)
    return listed + "".join(f"; the {label(n)} has {scale.show(v)}" for n, v in scores.items())


def _rank_heading(ranks: TaskRanks, tasks: int) -> str:
    """Mean ranks, only together with the test of whether they differ."""
    if ranks.p is None:
        return f"{len(ranks.means)} arms on {tasks} tasks"
    if ranks.p >= ALPHA:
        return (
            f"No arm ranks above the others over {tasks} tasks beyond chance "
            f"(Friedman's test, p = {ranks.p:.2g})"
        )
    order_by = sorted(ranks.means, key=lambda arm: ranks.means[arm])[:MAX_NAMED]
    listed = ", ".join(f"{named(arm)} {ranks.means[arm]:.2f}" for arm in order_by)
    alike = (len(ranks.means) + 1) / 2
    return (
        f"The arms rank differently over {tasks} tasks (Friedman's test, p = {ranks.p:.2g}): "
        f"{listed} ({alike:g} if all were alike)"
    )


SECTION = Section(order=20, title="All arms", record=record, render=render)
