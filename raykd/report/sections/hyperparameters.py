"""Which hyperparameters matter: importances, slices and the best configurations of each arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import optuna
import optuna.visualization
import plotly.graph_objects as go

from raykd.report.charts import GREY, Figure, Style, arm_styles, figure, log_ticks, short
from raykd.report.pair_charts import pair_charts
from raykd.report.section import Section, template
from raykd.report.studies import (
    MIN_TRIALS_FOR_IMPORTANCE,
    importances,
    num_completed,
    quiet_study,
    shown_params,
    study_of,
)
from raykd.results.diagnose import domains_of
from raykd.results.records import SweepResult, TrialResult
from raykd.results.summary import metric_of, named, scale_of

NUM_BEST = 5
MIN_LEAD = 0.10  # of the importance, over the next parameter
SLICES_PER_ROW = 3
MAX_LINES = 150
_ALL_FIGURES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmHyperparameters:
    """One arm on one task.

    Attributes:
        title: Arm and task.
        finding: Which parameter mattered most, or why that is unknown.
        figures: Importances, slices, parallel coordinates, the two most important parameters
            together; fewer when there is too little.
        columns: Head of the table of the best configurations.
        best: The best configurations.
        is_open: Whether the panel starts open; the first with all figures does.
    """

    title: str
    finding: str
    figures: tuple[Figure, ...]
    columns: tuple[str, ...]
    best: tuple[tuple[str, ...], ...]
    is_open: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class HyperparametersRecord:
    """All arms that searched something."""

    heading: str
    arms: tuple[ArmHyperparameters, ...]


def record(result: SweepResult) -> HyperparametersRecord | None:
    """None when nothing was searched or completed."""
    arms: list[ArmHyperparameters] = []
    findings: list[str] = []
    enough = False
    for task in result.tasks:
        for arm in result.arms:
            study = study_of(result, task.name, arm)
            if not domains_of(result, arm) or not num_completed(study):
                continue
            weights = importances(study)
            where = f" on {task.name}" if len(result.tasks) > 1 else ""
            enough = enough or num_completed(study) >= MIN_TRIALS_FOR_IMPORTANCE
            if top := _stands_out(weights):
                findings.append(f"{top} for {named(arm)}{where}")
            arms.append(_arm(result, task.name, arm, study, weights))
    if not arms:
        return None
    first = next((i for i, arm in enumerate(arms) if len(arm.figures) >= _ALL_FIGURES), 0)
    arms[first] = dataclasses.replace(arms[first], is_open=True)
    heading = "No hyperparameter stands out over the others"
    if findings:
        heading = f"What mattered most: {', '.join(findings)}"
    elif not enough:
        heading = (
            "Too few completed trials to tell which hyperparameters matter "
            f"({MIN_TRIALS_FOR_IMPORTANCE} per arm are needed)"
        )
    return HyperparametersRecord(heading=heading, arms=tuple(arms))


def _stands_out(weights: dict[str, float]) -> str:
    """The parameter that carries clearly more of the importance than the next; empty if none."""
    if len(weights) < 2:
        return ""
    (top, share), (_, second) = list(weights.items())[:2]
    return top if share - second >= MIN_LEAD else ""


def render(r: HyperparametersRecord) -> str:
    """One panel per arm."""
    return template("hyperparameters", r)


def _arm(
    result: SweepResult,
    task: str,
    arm: str,
    study: optuna.Study,
    weights: dict[str, float],
) -> ArmHyperparameters:
    style = arm_styles(result.arms)[arm]
    metric, mode = metric_of(result, task)
    unit = scale_of(result, task).axis(metric)
    key = f"{result.tasks.index(result.task(task))}-{result.arms.index(arm)}"
    figures = []
    finding = _why_no_ranks(num_completed(study))
    if len(weights) == 1:
        finding = f"{next(iter(weights))} is the only parameter that was searched."
    elif weights:
        top, share = next(iter(weights.items()))
        finding = f"{top} carries {share * 100:.0f} % of the importance."
        figures.append(_importance(study, weights, style, f"importance-{key}", arm))
    if any(t.params for t in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))):
        figures += _slices(study, style, unit, f"slice-{key}", arm)
        figures.append(_parallel(study, style, unit, mode, f"parallel-{key}", arm))
    if len(weights) > 1:
        first, second = list(weights)[:2]
        figures += pair_charts(study, (first, second), unit, f"pair-{key}", arm)
    columns, best = _best(result, task, arm, mode)
    return ArmHyperparameters(
        title=f"{arm} on {task}",
        finding=finding,
        figures=tuple(figures),
        columns=columns,
        best=best,
    )


def _why_no_ranks(count: int) -> str:
    """Why the hyperparameters of an arm with so many completed trials have no order."""
    if count < MIN_TRIALS_FOR_IMPORTANCE:
        trials = "1 completed trial is" if count == 1 else f"{count} completed trials are"
        return (
            f"{trials} too few to rank the hyperparameters: it takes {MIN_TRIALS_FOR_IMPORTANCE}."
        )
    return "No hyperparameter took two values, or all scores are equal, so there is no order."


def _importance(
    study: optuna.Study, weights: dict[str, float], style: Style, key: str, arm: str
) -> Figure:
    chart = optuna.visualization.plot_param_importances(study)
    chart.update_traces(marker={"color": style.colour}, showlegend=False)
    chart.update_layout(
        xaxis_title="share of importance", yaxis_title=None, xaxis_range=[0, 1.12], showlegend=False
    )
    return figure(
        chart,
        key=key,
        title=f"Importance of the searched parameters of {arm}",
        finding=f"Shares by PED-ANOVA, from {num_completed(study)} completed trials.",
        columns=("parameter", "importance"),
        rows=[(name, f"{w * 100:.0f} %") for name, w in weights.items()],
        height=110 + 36 * len(weights),
    )


def _slices(study: optuna.Study, style: Style, unit: str, key: str, arm: str) -> Iterator[Figure]:
    """Optuna's slice plot, a few parameters at a time so that each stays wide enough to read."""
    trials = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    names = sorted({name for t in trials for name in t.params})
    for start in range(0, len(names), SLICES_PER_ROW):
        part = names[start : start + SLICES_PER_ROW]
        chart = optuna.visualization.plot_slice(study, params=part, target_name=unit)
        for trace in chart.data:
            trace.marker = {
                "color": style.colour, "symbol": style.symbol, "size": 8, "opacity": 0.7,
            }  # fmt: skip
        # Long category names must not eat the plot: a fixed margin instead of a grown one.
        chart.update_layout(showlegend=False, width=None, margin={"b": 80})
        chart.update_xaxes(automargin=False)
        _name_log_ticks(chart)
        yield figure(
            chart,
            key=f"{key}-{start}",
            title=f"Score of {arm} against {', '.join(part)}",
            finding=f"One mark per completed trial; {_meaning(len(trials))}.",
            columns=("parameter", "value", unit),
            rows=sorted(
                (name, short(t.params[name]), f"{t.value:.4g}")
                for t in trials
                for name in part
                if name in t.params
            ),
            height=310,
        )


def _name_log_ticks(chart: go.Figure) -> None:
    """Write the ticks of log axes out in full, without SI prefixes or bare leading digits."""
    for trace in chart.data:
        axis = chart.layout["xaxis" + (trace.xaxis or "x")[1:]]
        if axis.type == "log":
            ticks = log_ticks(min(trace.x), max(trace.x))
            axis.update(tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])


def _parallel(
    study: optuna.Study, style: Style, unit: str, mode: str, key: str, arm: str
) -> Figure:
    """Optuna's chart with the best trials in the arm's colour and the others grey."""
    completed = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    trials = _drawn(completed, mode)
    if len(trials) < len(completed):
        study = quiet_study(study.study_name, [mode])
        study.add_trials(trials)
    chart = optuna.visualization.plot_parallel_coordinate(study, target_name=unit)
    lines = [t for t in chart.data if t.mode == "lines" and t.customdata is not None]
    best = sorted(lines, key=lambda t: t.y[0], reverse=mode != "min")[:NUM_BEST]
    # The axes are traces too; the one with the colour scale goes, as colour means arm here.
    others = [
        t
        for t in chart.data
        if not any(t is b for b in best) and not (t.mode == "markers" and t.marker.showscale)
    ]
    for trace in lines:
        is_best = any(trace is b for b in best)
        trace.line = {"color": style.colour if is_best else GREY, "width": 2.5 if is_best else 1}
        trace.opacity = 0.95 if is_best else 0.4
    chart = go.Figure(data=[*others, *best], layout=chart.layout)
    every = len(trials) == len(completed)
    number = "One line per trial" if every else f"{len(trials)} of {len(completed)} trials"
    names = list(dict.fromkeys(n for t in trials for n in t.params))
    return figure(
        chart,
        key=key,
        title=f"{'All completed' if every else 'Completed'} trials of {arm}",
        finding=f"{number}; the {len(best)} best are coloured.",
        columns=("trial", unit, *names),
        rows=[
            (str(t.number), f"{t.value:.4g}", *(short(t.params.get(n, "")) for n in names))
            for t in trials
        ],
        height=360,
    )


def _meaning(count: int) -> str:
    """What a pattern in so many marks says of a parameter."""
    if count < MIN_TRIALS_FOR_IMPORTANCE:
        return "in so few, a slope or a hump may be chance"
    return "a slope or a hump suggests that it matters"


def _drawn(trials: Sequence[optuna.trial.FrozenTrial], mode: str) -> list[optuna.trial.FrozenTrial]:
    """As many trials as a chart of lines can show: the best, and others spread over the search."""
    if len(trials) <= MAX_LINES:
        return list(trials)
    ranked = sorted(trials, key=lambda t: t.value or 0.0, reverse=mode != "min")
    kept = {t.number for t in ranked[:NUM_BEST]}
    others = [t for t in trials if t.number not in kept]
    count = MAX_LINES - len(kept)
    kept |= {others[k * len(others) // count].number for k in range(count)}
    return [t for t in trials if t.number in kept]


def _best(
    result: SweepResult, task: str, arm: str, mode: str
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    sign = 1.0 if mode == "min" else -1.0
    done = [t for t in result.of(task, arm, "search") if t.result is not None]
    done = sorted(done, key=lambda t: (sign * (t.objective or 0.0), t.number))[:NUM_BEST]
    names = list(domains_of(result, arm))
    scale = scale_of(result, task)
    rows = []
    for t in done:
        values = dict(shown_params(t))
        rows.append((_number(t), scale.show(t.objective), *(values.get(n, "") for n in names)))
    return ("trial", metric_of(result, task)[0], *names), tuple(rows)


def _number(trial: TrialResult) -> str:
    """``7``; ``7 (search 2)`` in another search than the first."""
    return f"{trial.number}" + (f" (search {trial.repeat + 1})" if trial.repeat else "")


SECTION = Section(order=50, title="Which hyperparameters matter?", record=record, render=render)
