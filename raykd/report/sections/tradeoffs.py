"""Trade-offs: score against cost with the front marked, where there is something to trade."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

import optuna.visualization
from optuna.trial import TrialState, create_trial

from raykd.report.charts import GREY, Figure, arm_styles, duration, figure, plain
from raykd.report.section import Section, template
from raykd.report.studies import quiet_study
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.summary import (
    arm_summaries,
    compare,
    metric_of,
    named,
    rank_arms,
    scale_of,
    task_metric,
)

MIN_COST_RATIO = 1.5
MIN_TRIALS = 5  # completed ones of an arm, for a median
_NAMES = {
    "device_seconds": "device time (s)",
    "latency_ms": "latency (ms)",
    "memory_mb": "memory (MB)",
}
_COST_ENDINGS = ("_ms", "_mb", "_seconds", "_bytes", "_flops")


@dataclass(frozen=True, kw_only=True, slots=True)
class TradeoffsRecord:
    """Fronts per task."""

    heading: str
    tasks: tuple[tuple[str, tuple[Figure, ...]], ...]


def record(result: SweepResult) -> TradeoffsRecord | None:
    """None when on every task the best trial is also (nearly) the cheapest."""
    shown, sentences = [], []
    for index, task in enumerate(t.name for t in result.tasks):
        figures, first = [], ""
        for cost in _costs(result, task):
            trials = _usable(result, task, cost)
            front = pareto(result, task, trials, cost)
            if _worth_showing(trials, front, cost):
                first = first or cost
                key = f"front-{index}-{cost}"
                figures.append(_front(result, task, trials, front, cost, key))
        if figures:
            shown.append((task, tuple(figures)))
            sentences.append(_finding(result, task, first))
    if not shown:
        return None
    if len(shown) > 1:
        sentences = [f"{task}: {text}" for (task, _), text in zip(shown, sentences, strict=True)]
    return TradeoffsRecord(heading="; ".join(sentences), tasks=tuple(shown))


def render(r: TradeoffsRecord) -> str:
    """The charts."""
    return template("figures", r)


def pareto(
    result: SweepResult, task: str, trials: list[TrialResult], cost: str
) -> list[TrialResult]:
    """Trials that no other one beats in both score and cost, cheapest first."""
    sign = 1.0 if metric_of(result, task)[1] == "min" else -1.0
    front: list[TrialResult] = []
    ordered = sorted(trials, key=lambda t: (_cost(t, cost), sign * (t.objective or 0.0)))
    for trial in ordered:
        if not front or sign * (trial.objective or 0.0) < sign * (front[-1].objective or 0.0):
            front.append(trial)
    return front


def _finding(result: SweepResult, task: str, price: str) -> str:
    """Whether a better arm costs more, from medians of arms: single trials differ by chance.

    Costs are compared between the arm with the best score and the cheapest one. That is done only
    of arms with enough trials, and only where the better one is sure to be better.
    """
    medians = {
        a.name: median([_cost(t, price) for t in own])
        for a in arm_summaries(result, task)
        if len(own := [t for t in _usable(result, task, price) if t.arm == a.name]) >= MIN_TRIALS
    }
    order = [a for a in rank_arms(arm_summaries(result, task), metric_of(result, task)[1])
             if a.name in medians]  # fmt: skip
    if len(order) < 2:
        return f"Too few trials to tell whether a better arm costs more ({MIN_TRIALS} an arm)"
    best = order[0]
    cheapest = min(order, key=lambda a: medians[a.name])
    cost, least = medians[best.name], medians[cheapest.name]
    shown = f"{_priced(cost, price)} against {_priced(least, price)}"
    if best is cheapest or cost < MIN_COST_RATIO * least:
        return f"No arm is better at a price: {named(best.name)} has the best score, and " + (
            "is the cheapest" if best is cheapest else f"costs about the least ({shown})"
        )
    together = compare(task_metric(result, task), arm_summaries(result, task))
    d = together.difference(best.name, cheapest.name)
    if d is None or not d.better:
        return (
            f"{named(best.name)} costs more than {named(cheapest.name)} ({shown}), and cannot "
            "be told apart from it"
        )
    return f"A better score costs more: {named(best.name)} takes {shown} of {named(cheapest.name)}"


def _priced(cost: float, price: str) -> str:
    """A cost with its unit."""
    if price == "device_seconds":
        return duration(cost)
    unit = {"mb": "MB"}.get(price.rpartition("_")[2], price.rpartition("_")[2])
    return f"{cost:.3g} {unit}"


def _costs(result: SweepResult, task: str) -> list[str]:
    names = dict.fromkeys(n for t in result.trials if t.task == task for n in t.metrics)
    costs = (n for n in names if n.endswith(_COST_ENDINGS) or n == "parameters")
    return ["device_seconds", *costs]


def _cost(trial: TrialResult, cost: str) -> float:
    if cost == "device_seconds":
        return trial.device_seconds
    return trial.metrics.get(cost, math.nan)


def _usable(result: SweepResult, task: str, cost: str) -> list[TrialResult]:
    return [
        t
        for n in result.arms
        for t in result.of(task, n, "search")
        if t.status is Status.COMPLETED and t.objective is not None and _cost(t, cost) > 0
    ]


def _worth_showing(trials: list[TrialResult], front: list[TrialResult], cost: str) -> bool:
    return len(front) > 1 and _cost(front[-1], cost) >= MIN_COST_RATIO * _cost(front[0], cost)


def _front(
    result: SweepResult,
    task: str,
    trials: list[TrialResult],
    front: list[TrialResult],
    cost: str,
    key: str,
) -> Figure:
    """Optuna's Pareto chart, drawn arm by arm so that each keeps its mark."""
    metric, mode = metric_of(result, task)
    scale, styles = scale_of(result, task), arm_styles(result.arms)
    unit, price = scale.axis(metric), _NAMES.get(cost, cost.replace("_", " "))
    study = quiet_study("trade-offs", ["min", mode])
    for t in trials:
        values = [_cost(t, cost), (t.objective or 0.0) * scale.factor]
        study.add_trial(create_trial(state=TrialState.COMPLETE, values=values))
    chart = optuna.visualization.plot_pareto_front(study, target_names=[price, unit])
    chart.data = ()
    for arm in result.arms:
        own = [t for t in trials if t.arm == arm]
        chart.add_scatter(
            x=[_cost(t, cost) for t in own], y=[(t.objective or 0) * scale.factor for t in own],
            mode="markers", name=plain(arm), customdata=[plain(t.trial_id) for t in own],
            marker={"color": styles[arm].colour, "symbol": styles[arm].symbol, "size": 8},
        )  # fmt: skip
    chart.add_scatter(
        x=[_cost(t, cost) for t in front], y=[(t.objective or 0) * scale.factor for t in front],
        mode="lines", name="front", line={"color": GREY, "dash": "dot", "shape": "hv"},
    )  # fmt: skip
    return figure(
        chart,
        key=key,
        title=f"{metric} against {price} on {task}",
        finding="No search trial is both better and cheaper than one on the dotted front. Its "
        "trials are picked by their luck, too: compare arms by where most of their trials lie.",
        columns=("arm", "trial", price, metric),
        rows=[(t.arm, t.trial_id, f"{_cost(t, cost):.4g}", scale.show(t.objective)) for t in front],
    )


SECTION = Section(order=70, title="Trade-offs", record=record, render=render)
