"""Tunability of each arm: the distribution of its scores over the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import optuna
import optuna.visualization
import plotly.graph_objects as go

from raykd.report.charts import Figure, arm_styles, figure, line, plain
from raykd.report.section import Section, template
from raykd.report.studies import studies_of
from raykd.results.records import SweepResult
from raykd.results.stats import expected_best, share_at_least
from raykd.results.summary import best_trial, metric_of, named, scale_of

MIN_TRIALS = 10  # completed ones of every arm, for a median that says something
MAX_NAMED = 4
INDEPENDENT = ("random", "grid")


@dataclass(frozen=True, kw_only=True, slots=True)
class TunabilityRecord:
    """Two charts per task and the medians of the arms."""

    heading: str
    tasks: tuple[tuple[str, tuple[Figure, ...]], ...]


def record(result: SweepResult) -> TunabilityRecord | None:
    """None when no search trial was completed."""
    shown = []
    findings = []
    for index, task in enumerate(t.name for t in result.tasks):
        studies = studies_of(result, task)
        arms = list(studies)
        if arms:
            shown.append(
                (task, (_edf(result, task, studies, index), _expected(result, task, arms, index)))
            )
            findings.append(_finding(result, task, arms))
    if not shown:
        return None
    heading = "; ".join(f for f in findings if f)
    return TunabilityRecord(heading=heading, tasks=tuple(shown))


def render(r: TunabilityRecord) -> str:
    """The charts."""
    return template("figures", r)


def scores(result: SweepResult, task: str, arm: str) -> list[float]:
    """Objectives of the completed search trials of an arm."""
    trials = result.of(task, arm, "search")
    return [t.result for t in trials if t.result is not None]


def shares(result: SweepResult, task: str, arms: list[str]) -> dict[str, float]:
    """Share of completed trials at least as good as the baseline's best one.

    Arms with less than `MIN_TRIALS` are left out, and where the baseline has less, all are.
    """
    _, mode = metric_of(result, task)
    bar = best_trial(result.of(task, result.baseline, "search"), mode)
    known = {n: scores(result, task, n) for n in {*arms, result.baseline}}
    enough = {n: values for n, values in known.items() if len(values) >= MIN_TRIALS}
    if bar is None or bar.objective is None or result.baseline not in enough:
        return {}
    share_of = {n: share_at_least(enough[n], bar.objective, mode) for n in arms if n in enough}
    return {n: s for n, s in share_of.items() if s is not None}


def _finding(result: SweepResult, task: str, arms: list[str]) -> str:
    """Medians of the completed search trials, where every arm has enough of them."""
    scale, mode = scale_of(result, task), metric_of(result, task)[1]
    values = {n: scores(result, task, n) for n in arms}
    if min(len(s) for s in values.values()) < MIN_TRIALS:
        return f"{task}: too few completed trials to tell ({MIN_TRIALS} an arm are needed)"
    order = sorted(values, key=lambda n: median(values[n]), reverse=mode != "min")
    shown = ", ".join(f"{named(n)} {scale.show(median(values[n]))}" for n in order[:MAX_NAMED])
    more = f" and {len(order) - MAX_NAMED} more" if len(order) > MAX_NAMED else ""
    return f"{task}: median search score {shown}{more}"


def _drawn_by(result: SweepResult) -> str:
    """The search algorithm, if it prefers good places; empty where trials are independent."""
    algorithm = (result.spec.get("search") or {}).get("algorithm") or {}
    name = str(algorithm.get("name", "") if isinstance(algorithm, Mapping) else algorithm)
    return "" if name in INDEPENDENT else name or "the search algorithm"


def _edf(result: SweepResult, task: str, studies: Mapping[str, optuna.Study], index: int) -> Figure:
    styles, scale = arm_styles(result.arms), scale_of(result, task)
    metric, mode = metric_of(result, task)
    arms = list(studies)
    chart = optuna.visualization.plot_edf(list(studies.values()), target_name=metric)
    for arm in arms:
        style = styles[arm]
        chart.update_traces(
            line={"color": style.colour, "dash": style.dash, "width": 2.5},
            selector={"name": plain(arm)},
        )
    chart.update_layout(xaxis_title=scale.axis(metric), yaxis_title="share of trials at or below")
    better = "left" if mode == "min" else "right"
    reach = shares(result, task, arms)
    finding = f"Further to the {better} is better. Completed trials only"
    by = _drawn_by(result)
    finding += f", which {by} drew where scores were good: no random sample." if by else "."
    if any(arm not in reach for arm in arms):
        finding += f" Shares are given from {MIN_TRIALS} completed trials on."
    return figure(
        chart,
        key=f"edf-{index}",
        title=f"Distribution of the search scores on {task}",
        finding=finding,
        columns=("arm", "completed trials", "lowest", "highest", "reach the baseline's best"),
        rows=[
            (n, str(len(s := scores(result, task, n))), scale.show(min(s)), scale.show(max(s)),
             f"{reach[n] * 100:.0f} %" if n in reach else "n/a")
            for n in arms
        ],
    )  # fmt: skip


def _expected(result: SweepResult, task: str, arms: list[str], index: int) -> Figure:
    styles, scale = arm_styles(result.arms), scale_of(result, task)
    metric, mode = metric_of(result, task)
    chart, by = go.Figure(), _drawn_by(result)
    rows = []
    for arm in arms:
        curve = expected_best(scores(result, task, arm), mode)
        numbers = list(range(1, len(curve) + 1))
        values = [v * scale.factor for v in curve]
        chart.add_trace(line(numbers, values, arm, styles[arm], mode="lines"))
        marks = sorted({1, len(curve) // 2, len(curve)} - {0})
        rows += [(arm, str(n), scale.show(curve[n - 1])) for n in marks]
    chart.update_layout(xaxis_title="trials", yaxis_title=f"expected best {scale.axis(metric)}")
    return figure(
        chart,
        key=f"expected-{index}",
        title=f"Expected best score on {task} with fewer trials",
        finding="What the best of n of these trials would score on average (validation split), if "
        "they were drawn independently" + (f"; those of {by} are not." if by else "."),
        columns=("arm", "trials", "expected best"),
        rows=rows,
    )


SECTION = Section(order=40, title="How tunable is each arm?", record=record, render=render)
