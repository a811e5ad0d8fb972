"""Subnets of students with adaptive width and depth: what a smaller student loses."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from raykd.report.section import Section, template
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.stats import confidence_interval
from raykd.results.summary import arm_summaries, metric_of, scale_of

_PART = re.compile(r"test/(?P<metric>[^@]+)@w(?P<width>[\d.]+)d(?P<depth>[\d.]+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class PartsRecord:
    """One table per task and arm: widths across, depths down."""

    heading: str
    tables: tuple[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]], ...]


def record(result: SweepResult) -> PartsRecord | None:
    """None where no student has subnets."""
    tables = []
    for task in (t.name for t in result.tasks):
        metric, _ = metric_of(result, task)
        for arm in arm_summaries(result, task):
            chosen = [
                t for t in result.of(task, arm.name, "confirm")
                if t.status is Status.COMPLETED and dict(t.params) == dict(arm.chosen)
            ]  # fmt: skip
            values = _values(chosen, metric)
            if len(values) > 1:
                tables.append((f"{arm.name} on {task}: {metric}", *_table(result, task, values)))
    if not tables:
        return None
    return PartsRecord(heading="What the subnets of a student score", tables=tuple(tables))


def render(r: PartsRecord) -> str:
    """The tables."""
    return template("subnets", r)


def _values(trials: list[TrialResult], metric: str) -> dict[tuple[float, float], list[float]]:
    """Values of the deciding metric by depth and width, over the confirm seeds."""
    losses: dict[tuple[float, float], list[float]] = {}
    for trial in trials:
        whole = trial.metrics.get(f"test/{metric}", math.nan)
        losses.setdefault((1.0, 1.0), []).append(whole)
        for name, value in trial.metrics.items():
            m = _PART.fullmatch(name)
            if m and m["metric"] == metric:
                place = float(m["depth"]), float(m["width"])
                losses.setdefault(place, []).append(value)
    return losses


def _table(
    result: SweepResult, task: str, values: dict[tuple[float, float], list[float]]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    scale = scale_of(result, task)
    widths = sorted({width for _, width in values}, reverse=True)
    depths = sorted({depth for depth, _ in values}, reverse=True)

    def cell(depth: float, width: float) -> str:
        interval = confidence_interval(
            [v for v in values.get((depth, width), []) if math.isfinite(v)]
        )
        return "" if interval is None else scale.show(interval.mean)

    columns = ("depth", *(f"width {width:g}" for width in widths))
    rows = tuple((f"{depth:g}", *(cell(depth, width) for width in widths)) for depth in depths)
    return columns, rows


SECTION = Section(order=77, title="Subnets of the student", record=record, render=render)
