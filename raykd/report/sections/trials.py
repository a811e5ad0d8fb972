"""Every trial in a table that sorts and filters; a row opens its parameters, curve and error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raykd.report.charts import duration, short
from raykd.report.section import Section, template
from raykd.report.studies import shown_params
from raykd.results.records import SweepResult, TrialResult
from raykd.results.scales import Scale
from raykd.results.summary import metric_of, scale_of

COLUMNS = (
    "trial", "task", "arm", "stage", "status", "score (validation)", "score (test)", "epochs",
    "time", "searched",
)  # fmt: skip
_WIDTH, _HEIGHT = 200, 50


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRow:
    """One trial as shown; `values` sort the columns in the order of `COLUMNS`."""

    trial_id: str
    cells: tuple[str, ...]
    values: tuple[str, ...]
    params: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    spark: str
    spark_title: str
    failed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialsRecord:
    """All trials in order of start."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[TrialRow, ...]


def record(result: SweepResult) -> TrialsRecord:
    """Also without any trial, so that the reader sees that there is none."""
    search = sum(t.stage == "search" for t in result.trials)
    # Once for each task: a scale is found by looking at all of its trials.
    scales = {task: scale_of(result, task) for task in dict.fromkeys(t.task for t in result.trials)}
    heading = f"{search} search and {len(result.trials) - search} confirm trials"
    return TrialsRecord(
        heading=heading if result.trials else "No trial was started",
        columns=COLUMNS,
        rows=tuple(_row(t, metric_of(result, t.task)[0], scales[t.task]) for t in result.trials),
    )


def render(r: TrialsRecord) -> str:
    """The table."""
    return template("trials", r)


def _row(trial: TrialResult, metric: str, scale: Scale) -> TrialRow:
    scores = (trial.objective, trial.metrics.get(f"test/{metric}"))
    epochs = trial.history[-1].epoch if trial.history else 0.0
    searched = ", ".join(f"{n} {v}" for n, v in shown_params(trial))
    texts = (trial.trial_id, trial.task, trial.arm, trial.stage, str(trial.status.value))
    shown = [scale.show(v) if v is not None else "" for v in scores]
    raw = [repr(v) if v is not None and math.isfinite(v) else "" for v in scores]
    curve = [e.metrics.get(metric, math.nan) for e in trial.history]
    curve = [v for v in curve if math.isfinite(v)]
    return TrialRow(
        trial_id=trial.trial_id,
        cells=(*texts, *shown, f"{epochs:g}", duration(trial.seconds), searched),
        values=(*texts, *raw, repr(epochs), repr(trial.seconds), searched),
        params=tuple((n, short(v)) for n, v in trial.params.items()),
        facts=_facts(trial),
        spark=_spark(curve),
        spark_title=f"{metric} from {scale.show(curve[0])} to {scale.show(curve[-1])}"
        if curve
        else "",
        failed=bool(trial.error),
    )


def _facts(trial: TrialResult) -> tuple[tuple[str, str], ...]:
    facts = {
        "seed": str(trial.seed),
        "precision": trial.precision,
        "rows in a pass": str(trial.micro_batch) if trial.micro_batch else "",
        "node": trial.node,
        "slot": str(trial.slot) if trial.slot >= 0 else "",
        "attempts": str(trial.attempts) if trial.attempts > 1 else "",
        "checkpoint": trial.checkpoint,
        "error": trial.error,
        **{f"metric {n}": f"{v:.5g}" for n, v in trial.metrics.items()},
    }
    return tuple((n, v) for n, v in facts.items() if v)


def _spark(values: list[float]) -> str:
    """Points of a small curve in a box of 200 x 50; empty for fewer than two values."""
    if len(values) < 2:
        return ""
    low, span = min(values), (max(values) - min(values)) or 1.0
    step = _WIDTH / (len(values) - 1)
    return " ".join(
        f"{i * step:.1f},{_HEIGHT - 4 - (v - low) / span * (_HEIGHT - 8):.1f}"
        for i, v in enumerate(values)
    )


SECTION = Section(order=80, title="Every trial", record=record, render=render)
