"""Every metric of a task, by arm: what the benchmark reports besides the one that decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from raykd.report.section import Section, template
from raykd.results.arm_teachers import label, teachers_of_task
from raykd.results.records import SweepResult, TrialResult
from raykd.results.reported_runs import reported_runs
from raykd.results.scales import Scale
from raykd.results.stats import confidence_interval
from raykd.results.summary import arm_summaries, metric_of, scale_of

PREFIX = "test/"
PART = "@"


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricsRecord:
    """One table per task: arms and the teacher down, metrics across."""

    heading: str
    caption: str
    tables: tuple[tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]], ...]


def record(result: SweepResult) -> MetricsRecord | None:
    """None where no task has more than the metric that decides."""
    tables = []
    for task in result.tasks:
        names = _names(result, task.name)
        if len(names) > 1:
            columns = ("arm", *(_title(result, task.name, name) for name in names))
            tables.append((task.name, columns, tuple(_rows(result, task.name, names))))
    if not tables:
        return None
    over = "confirm seeds" if result.searches == 1 else "searches"
    return MetricsRecord(
        heading=f"All metrics on the test split, mean and spread over the {over}",
        caption=f"Mean ± standard deviation over the {over}; the metric that decides is the one "
        "the search improved.",
        tables=tuple(tables),
    )


def render(r: MetricsRecord) -> str:
    """The tables."""
    return template("metrics", r)


def _names(result: SweepResult, task: str) -> tuple[str, ...]:
    """Metrics of the test split, the deciding one first; parts of students stand elsewhere."""
    first = metric_of(result, task)[0]
    names = dict.fromkeys([first])
    for trial in result.trials:
        if trial.task == task and trial.stage == "confirm":
            names |= dict.fromkeys(
                name.removeprefix(PREFIX)
                for name in trial.metrics
                if name.startswith(PREFIX) and PART not in name
            )
    return tuple(names)


def _title(result: SweepResult, task: str, name: str) -> str:
    """A metric with its unit, where that is not the points of the others."""
    unit = scale_of(result, task, name).unit
    notes = [unit] if unit not in ("points", name) else []
    notes += ["decides"] if name == metric_of(result, task)[0] else []
    return f"{name} ({', '.join(notes)})" if notes else name


def _rows(result: SweepResult, task: str, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    scales = {name: scale_of(result, task, name) for name in names}
    rows = []
    for teacher in teachers_of_task(result, task):
        values = {name: teacher.metrics.get(PREFIX + name, math.nan) for name in names}
        rows.append(
            (label(teacher.name), *(_shown(scales[name], [v]) for name, v in values.items()))
        )
    for arm in arm_summaries(result, task):
        runs = reported_runs(result, task, arm.name)
        cells = (_shown(scales[n], _values(runs, n, result.searches)) for n in names)
        rows.append((arm.name, *cells))
    return rows


def _values(runs: Sequence[TrialResult], name: str, searches: int) -> list[float]:
    """A metric of each run; of several searches, the mean of each over its seeds."""
    values = [(t.repeat if searches > 1 else k, t.metrics.get(PREFIX + name, math.nan))
              for k, t in enumerate(runs)]  # fmt: skip
    counted = dict.fromkeys(key for key, _ in values)
    return [fmean(value for key, value in values if key == one) for one in counted]


def _shown(scale: Scale, values: list[float]) -> str:
    known = [v for v in values if math.isfinite(v)]
    interval = confidence_interval(known)
    if interval is None:
        return "n/a"
    if len(known) < 2:
        return scale.show(interval.mean)
    spread = scale.signed(interval.sd).lstrip("+") if scale.factor != 1 else f"{interval.sd:.2g}"
    return f"{scale.show(interval.mean)} ± {spread}"


SECTION = Section(order=25, title="What do the other metrics say?", record=record, render=render)
