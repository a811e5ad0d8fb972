"""Training: learning curves of the search, and the loss terms of each arm's best trial."""

from __future__ import annotations

import math
from dataclasses import dataclass

import plotly.graph_objects as go

from raykd.report.charts import GREY, Figure, Style, arm_styles, figure, line, log_ticks, plain
from raykd.report.section import Section, template
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.summary import best_trial, metric_of, scale_of

MAX_CURVES = 500
_TERM_STYLES = arm_styles([f"term {i}" for i in range(12)])


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvesRecord:
    """Charts per task: the curves of all arms, then loss terms per arm."""

    heading: str
    tasks: tuple[tuple[str, tuple[Figure, ...]], ...]


def record(result: SweepResult) -> CurvesRecord | None:
    """None when no trial was ever evaluated."""
    shown = []
    for index, task in enumerate(t.name for t in result.tasks):
        trials = [t for n in result.arms for t in result.of(task, n, "search") if t.history]
        if not trials:
            continue
        figures = [_curves(result, task, trials, index)]
        for place, arm in enumerate(result.arms):
            best = best_trial(result.of(task, arm, "search"), metric_of(result, task)[1])
            if best is not None and any(e.terms for e in best.history):
                figures.append(_terms(best, arm, f"terms-{index}-{place}"))
        shown.append((task, tuple(figures)))
    if not shown:
        return None
    search = [t for t in result.trials if t.stage == "search"]
    pruned = sum(t.status is Status.PRUNED for t in search)
    heading = f"{pruned} of {len(search)} search trials were stopped early"
    ended = sum(t.status is Status.COMPLETED for t in search)
    if not pruned:
        heading = f"{ended} of {len(search)} search trials ran to their end"
    return CurvesRecord(heading=heading, tasks=tuple(shown))


def render(r: CurvesRecord) -> str:
    """The charts."""
    return template("figures", r)


def _curves(result: SweepResult, task: str, trials: list[TrialResult], index: int) -> Figure:
    """Every trial grey in one trace, the best of each arm in its colour, early stops marked."""
    metric, mode = metric_of(result, task)
    scale, styles = scale_of(result, task), arm_styles(result.arms)

    def points(trial: TrialResult) -> list[tuple[float, float]]:
        return [
            (e.epoch, e.metrics[metric] * scale.factor)
            for e in trial.history
            if math.isfinite(e.metrics.get(metric, math.nan))
        ]

    chart = go.Figure()
    x: list[float | None] = []
    y: list[float | None] = []
    for trial in trials[:: max(1, math.ceil(len(trials) / MAX_CURVES))]:
        for epoch, value in points(trial):
            x.append(epoch)
            y.append(value)
        x.append(None)
        y.append(None)
    chart.add_scatter(x=x, y=y, mode="lines+markers", name="all trials", opacity=0.45,
                      line={"color": GREY, "width": 1}, marker={"size": 3, "color": GREY},
                      hoverinfo="skip")  # fmt: skip
    ends = [(t, points(t)[-1]) for t in trials if t.status is Status.PRUNED and points(t)]
    if ends:
        chart.add_scatter(
            x=[p[0] for _, p in ends], y=[p[1] for _, p in ends], mode="markers",
            name="stopped early", marker={"symbol": "x-thin-open", "size": 8, "color": GREY},
            customdata=[plain(t.trial_id) for t, _ in ends],
            hovertemplate="%{customdata}<extra>stopped early</extra>",
        )  # fmt: skip
    rows = []
    for arm in result.arms:
        best = best_trial(result.of(task, arm, "search"), mode)
        if best is None:
            continue
        at = points(best)
        chart.add_trace(
            line([p[0] for p in at], [p[1] for p in at], arm, styles[arm],
                 customdata=[plain(best.trial_id)] * len(at))
        )  # fmt: skip
        rows += [(arm, best.trial_id, f"{x:g}", f"{y:.4g}") for x, y in at]
    chart.update_layout(xaxis_title="epoch", yaxis_title=scale.axis(metric))
    return figure(
        chart,
        key=f"curves-{index}",
        title=f"Learning curves on {task}, validation split",
        finding="The best trial of each arm in colour, all others grey, crosses are early stops.",
        columns=("arm", "trial", "epoch", scale.axis(metric)),
        rows=rows,
    )


def _terms(best: TrialResult, arm: str, key: str) -> Figure:
    """Each loss term on a log axis; terms that are not positive are left to the table."""
    names = list(dict.fromkeys(n for e in best.history for n in e.terms))
    chart = go.Figure()
    rows = []
    for name, style in zip(names, _cycle(len(names)), strict=True):
        at = [(e.epoch, e.terms[name]) for e in best.history if name in e.terms]
        rows += [(name, f"{x:g}", f"{y:.4g}") for x, y in at]
        usable = [(x, y if y > 0 else None) for x, y in at]
        chart.add_trace(line([x for x, _ in usable], [y for _, y in usable], name, style))
    chart.update_layout(xaxis_title="epoch", yaxis_title="mean loss term")
    chart.update_yaxes(type="log")
    if heights := [y for trace in chart.data for y in trace.y if y]:
        chart.update_yaxes(tickvals=log_ticks(min(heights), max(heights)))
    return figure(
        chart,
        key=key,
        title=f"Loss terms of the best trial of {arm}",
        finding=f"Trial {best.trial_id}; a term far above the others decides the training.",
        columns=("term", "epoch", "mean"),
        rows=rows,
    )


def _cycle(count: int) -> list[Style]:
    styles = list(_TERM_STYLES.values())
    return [styles[i % len(styles)] for i in range(count)]


SECTION = Section(order=60, title="How did training go?", record=record, render=render)
