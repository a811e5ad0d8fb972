"""Derived teachers: their cost, the trials that used them, and the scores they led to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from raykd.report.charts import Figure, duration, figure, short
from raykd.report.section import Section, template
from raykd.results.records import DerivedTeacher, Status, SweepResult, TrialResult
from raykd.results.summary import metric_of, scale_of

COLUMNS = ("task", "derived teacher", "made", "rows", "time", "trials that learnt from it")


@dataclass(frozen=True, kw_only=True, slots=True)
class DerivedRecord:
    """One row per derived teacher, and a map of scores per arm."""

    heading: str
    analysed: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    maps: tuple[Figure, ...]


def record(result: SweepResult) -> DerivedRecord | None:
    """None where no trial learnt from a derived teacher."""
    if not result.derived:
        return None
    trials = sum(len(d.trials) for d in result.derived)
    made = sum(d.made for d in result.derived)
    return DerivedRecord(
        heading=f"{trials} trials learnt from {len(result.derived)} derived teachers, "
        f"of which {made} were made and recorded",
        analysed=tuple(
            f"{t.task}: the teacher was analysed once ({name}), in {duration(seconds)}"
            for t in result.teachers
            for name, seconds in t.analysed.items()
        ),
        columns=COLUMNS,
        rows=tuple(_row(d) for d in sorted(result.derived, key=lambda d: -len(d.trials))),
        maps=tuple(_maps(result)),
    )


def render(r: DerivedRecord) -> str:
    """What was analysed, the table and the maps."""
    return template("derived", r)


def _row(derived: DerivedTeacher) -> tuple[str, ...]:
    return (
        derived.task,
        derived.about,
        "once" if derived.made == 1 else f"{derived.made} times",
        f"{derived.rows:,}",
        duration(derived.seconds),
        f"{len(derived.trials)}",
    )


def _maps(result: SweepResult) -> Sequence[Figure]:
    """A map for every task and arm whose derived teachers depend on two parameters."""
    figures = []
    for task, arm in itertools.product((t.name for t in result.tasks), result.arms):
        trials = [
            t for t in result.of(task, arm, "search")
            if t.status is Status.COMPLETED and t.objective is not None
        ]  # fmt: skip
        ids = {t.trial_id for t in trials}
        by = next((d.by for d in result.derived if d.task == task and ids & set(d.trials)), ())
        axes = [name for name in by if all(_is_number(t.params.get(name)) for t in trials)]
        if len(axes) > 1:
            figures.append(_map(result, task, arm, trials, (axes[0], axes[1])))
    return figures


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _map(
    result: SweepResult, task: str, arm: str, trials: list[TrialResult], axes: tuple[str, str]
) -> Figure:
    metric, mode = metric_of(result, task)
    scale = scale_of(result, task)
    x, y = axes
    best: dict[tuple[float, float], float] = {}
    better = max if mode == "max" else min
    for t in trials:
        place = float(t.params[x] or 0), float(t.params[y] or 0)
        value = scale.factor * (t.objective or 0.0)
        best[place] = better(best.get(place, value), value)
    top = better(best, key=lambda place: best[place])
    chart = go.Figure(
        go.Scatter(
            x=[p[0] for p in best], y=[p[1] for p in best], mode="markers+text",
            text=[f"{v:.1f}" for v in best.values()], textposition="top center", cliponaxis=False,
            marker={"size": 16, "color": list(best.values()), "colorscale": "Viridis",
                    "showscale": True, "colorbar": {"title": {"text": metric}}},
            showlegend=False,
        )
    )  # fmt: skip
    chart.update_xaxes(title_text=x)
    chart.update_yaxes(title_text=y)
    return figure(
        chart,
        key=f"derived-{task}-{arm}",
        title=f"{arm} on {task}: {metric} by {x} and {y}",
        finding=f"best at {x} {short(top[0])}, {y} {short(top[1])}: {best[top]:.1f} "
        "on the validation split; of several trials at one place the best is shown",
        columns=(x, y, metric),
        rows=[(short(p[0]), short(p[1]), f"{v:.2f}") for p, v in sorted(best.items())],
    )


SECTION = Section(order=75, title="Derived teachers", record=record, render=render)
