"""Budget: the best score so far, against trials and against device hours."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import optuna
import optuna.visualization
import plotly.graph_objects as go

from raykd.report.charts import Figure, arm_styles, figure, line, plain
from raykd.report.section import Section, template
from raykd.report.studies import studies_of
from raykd.results.records import SweepResult, TrialResult
from raykd.results.stats import best_so_far
from raykd.results.summary import metric_of, named, scale_of

MAX_POINTS = 500
MIN_TRIALS = 12  # of an arm: a last quarter of fewer than three trials says nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetRecord:
    """Two charts per task."""

    heading: str
    tasks: tuple[tuple[str, tuple[Figure, ...]], ...]


def record(result: SweepResult) -> BudgetRecord | None:
    """None when no search trial was completed."""
    shown = []
    still: list[str] = []
    for index, task in enumerate(t.name for t in result.tasks):
        studies = studies_of(result, task)
        arms = list(studies)
        if arms:
            charts = (
                _by_trials(result, task, studies, index),
                _by_time(result, task, arms, index),
            )
            shown.append((task, charts))
            still += [
                f"{named(n)} on {task}" if len(result.tasks) > 1 else named(n)
                for n in arms
                if _improved_late(result, task, n)
            ]
    if not shown:
        return None
    counts = {n: len(search_trials(result, task, n)) for task, _ in shown for n in result.arms}
    return BudgetRecord(heading=_heading(list(counts.values()), still), tasks=tuple(shown))


def _heading(counts: list[int], still: list[str]) -> str:
    """What the last quarter of the trials says, with what chance alone would do."""
    if max(counts) < MIN_TRIALS:
        return f"With fewer than {MIN_TRIALS} trials an arm, nobody can tell"
    if still:
        return f"A new best in the last quarter of the trials: {', '.join(still)}"
    return (
        "No arm found a new best in the last quarter of its trials, which each of them does not "
        "in 75 % of searches that draw at random"
    )


def render(r: BudgetRecord) -> str:
    """The charts."""
    return template("figures", r)


def search_trials(result: SweepResult, task: str, arm: str) -> list[TrialResult]:
    """Search trials of an arm by number; those of several searches take turns."""
    return sorted(result.of(task, arm, "search"), key=result.place)


def _scores(trials: list[TrialResult]) -> list[float | None]:
    return [t.result for t in trials]


def _improved_late(result: SweepResult, task: str, arm: str) -> bool:
    trials = search_trials(result, task, arm)
    best = best_so_far(_scores(trials), metric_of(result, task)[1])
    quarter = best[max(0, len(best) * 3 // 4 - 1)]
    return len(best) >= MIN_TRIALS and quarter != best[-1]


def _by_trials(
    result: SweepResult, task: str, studies: Mapping[str, optuna.Study], index: int
) -> Figure:
    """Optuna's history of all arms in one chart, in the style of the page."""
    styles, scale = arm_styles(result.arms), scale_of(result, task)
    metric, mode = metric_of(result, task)
    arms = list(studies)
    chart = optuna.visualization.plot_optimization_history(
        list(studies.values()), target_name=metric
    )
    kept = []
    for trace in chart.data:
        owner = next((n for n in arms if (trace.name or "").endswith(f" of {plain(n)}")), None)
        if owner is None or not len(trace.x or ()):
            continue
        style = styles[owner]
        is_best = trace.name.startswith("Best")
        trace.update(
            name=plain(owner), legendgroup=owner, showlegend=is_best,
            mode="lines" if is_best else "markers",
            marker={"color": style.colour, "symbol": style.symbol, "size": 6, "opacity": 0.45},
        )  # fmt: skip
        if is_best:
            trace.line = {"color": style.colour, "dash": style.dash, "width": 2.5, "shape": "hv"}
        kept.append(trace)
    chart = go.Figure(data=kept)
    chart.update_layout(xaxis_title="trial", yaxis_title=scale.axis(metric))
    rows = []
    for arm in arms:
        best = best_so_far(_scores(search_trials(result, task, arm)), mode)
        marks = sorted({len(best) // 4, len(best) // 2, len(best) * 3 // 4, len(best)} - {0})
        rows += [(arm, str(n), scale.show(best[n - 1])) for n in marks]
    return figure(
        chart,
        key=f"history-{index}",
        title=f"Best score so far on {task}, by trials",
        finding="Lines are the best completed trial so far (validation split), marks the trials.",
        columns=("arm", "after trials", "best"),
        rows=rows,
    )


def _by_time(result: SweepResult, task: str, arms: list[str], index: int) -> Figure:
    styles, scale = arm_styles(result.arms), scale_of(result, task)
    metric, mode = metric_of(result, task)
    chart = go.Figure()
    rows = []
    for arm in arms:
        trials = search_trials(result, task, arm)
        hours = [s / 3600 for s in itertools.accumulate(t.device_seconds for t in trials)]
        best = best_so_far(_scores(trials), mode)
        points = [(h, b) for h, b in zip(hours, best, strict=True) if b is not None]
        points = points[:: max(1, len(points) // MAX_POINTS)]
        chart.add_trace(
            line([h for h, _ in points], [b * scale.factor for _, b in points], arm,
                 styles[arm], line={"shape": "hv"})
        )  # fmt: skip
        rows.append((arm, f"{hours[-1]:.3f}", scale.show(best[-1])))
    chart.update_layout(xaxis_title="device hours", yaxis_title=scale.axis(metric))
    return figure(
        chart,
        key=f"history-time-{index}",
        title=f"Best score so far on {task}, by device time",
        finding="The same search by the device hours that each arm used, without confirm runs.",
        columns=("arm", "device hours", "best"),
        rows=rows,
    )


SECTION = Section(order=30, title="Was the budget enough?", record=record, render=render)
