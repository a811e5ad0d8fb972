"""Every trial in a table that sorts and filters; a row opens its parameters, curve and command."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raykd.report.charts import duration, short
from raykd.report.commands import again
from raykd.report.section import Section, template
from raykd.results.records import SweepResult, TrialResult
from raykd.results.scales import Scale
from raykd.results.summary import metric_of, scale_of

COLUMNS = (
    "trial", "task", "arm", "stage", "status", "score (validation)", "score (test)", "epochs",
    "time",
)  # fmt: skip
CHOICES = ("task", "arm", "stage", "status")
_WIDTH, _HEIGHT = 200, 50


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialRow:
    """One trial as shown.

    Attributes:
        trial_id: Its id.
        cells: Its texts in the order of the columns.
        values: What the columns are sorted by.
        params: Every parameter.
        facts: What else is known, by name.
        again: The command that runs it again.
        spark: Points of its learning curve.
        spark_title: The curve in words.
        failed: Whether it failed.
    """

    trial_id: str
    cells: tuple[str, ...]
    values: tuple[str, ...]
    params: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    again: str
    spark: str
    spark_title: str
    failed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialsRecord:
    """All trials, those of a task and stage together, the best first.

    Attributes:
        heading: How many there are.
        columns: Head of the table: `COLUMNS`, then every parameter that was searched.
        first: Which way a column is sorted at first, where that is not upwards.
        choices: Columns of few values with these values, to choose from.
        rows: The trials.
    """

    heading: str
    columns: tuple[str, ...]
    first: Mapping[str, str]
    choices: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[TrialRow, ...]


def record(result: SweepResult) -> TrialsRecord:
    """Also without any trial, so that the reader sees that there is none."""
    search = sum(t.stage == "search" for t in result.trials)
    # Once for each task: a scale is found by looking at all of its trials.
    scales = {task: scale_of(result, task) for task in dict.fromkeys(t.task for t in result.trials)}
    heading = f"{search} search and {len(result.trials) - search} confirm trials"
    names = tuple(dict.fromkeys(name for t in result.trials for name in t.searched))
    confirmed = _confirmed(result)
    falls = all(metric_of(result, task)[1] == "max" for task in scales)
    rows = tuple(
        _row(t, metric_of(result, t.task)[0], scales[t.task], names, confirmed)
        for t in _best_first(result)
    )
    columns = (*COLUMNS, *names)
    return TrialsRecord(
        heading=heading if result.trials else "No trial was started",
        columns=columns,
        first={c: "descending" for c in columns if falls and c.startswith("score")},
        choices=tuple(
            (name, values)
            for name in CHOICES
            if len(values := tuple(dict.fromkeys(r.cells[columns.index(name)] for r in rows))) > 1
        ),
        rows=rows,
    )


def _best_first(result: SweepResult) -> list[TrialResult]:
    """Trials by task and stage, those with a score before the others."""
    tasks = list(dict.fromkeys(t.task for t in result.trials))

    def place(trial: TrialResult) -> tuple[int, bool, bool, float, float]:
        score = trial.objective
        known = score is not None and math.isfinite(score)
        sign = 1.0 if metric_of(result, trial.task)[1] == "min" else -1.0
        value = sign * score if score is not None and known else 0.0
        is_late = trial.stage != "search"
        return tasks.index(trial.task), is_late, not known, value, trial.started

    return sorted(result.trials, key=place)


def _confirmed(result: SweepResult) -> dict[tuple[str, str, int, str], list[str]]:
    """Confirm runs by task, arm, search and configuration."""
    runs: dict[tuple[str, str, int, str], list[str]] = defaultdict(list)
    for trial in result.trials:
        if trial.stage == "confirm":
            runs[_configuration(trial)].append(trial.trial_id)
    return runs


def _configuration(trial: TrialResult) -> tuple[str, str, int, str]:
    params = json.dumps(dict(trial.params), sort_keys=True, default=str)
    return trial.task, trial.arm, trial.repeat, params


def render(r: TrialsRecord) -> str:
    """The table."""
    return template("trials", r)


def _row(
    trial: TrialResult,
    metric: str,
    scale: Scale,
    names: tuple[str, ...],
    confirmed: Mapping[tuple[str, str, int, str], list[str]],
) -> TrialRow:
    scores = (trial.objective, trial.metrics.get(f"test/{metric}"))
    epochs = trial.history[-1].epoch if trial.history else 0.0
    runs = confirmed.get(_configuration(trial), []) if trial.stage == "search" else []
    searched = [short(trial.params[n]) if n in trial.params else "" for n in names]
    texts = (trial.trial_id, trial.task, trial.arm, trial.stage, str(trial.status.value))
    shown = [scale.show(v) if v is not None else "" for v in scores]
    raw = [repr(v) if v is not None and math.isfinite(v) else "" for v in scores]
    curve = [e.metrics.get(metric, math.nan) for e in trial.history]
    curve = [v for v in curve if math.isfinite(v)]
    return TrialRow(
        trial_id=trial.trial_id,
        cells=(*texts, *shown, f"{epochs:g}", duration(trial.seconds), *searched),
        values=(*texts, *raw, f"{epochs:g}", f"{trial.seconds:.2f}", *searched),
        params=tuple((n, short(v)) for n, v in trial.params.items()),
        facts=_facts(trial, runs),
        again=again(trial),
        spark=_spark(curve),
        spark_title=f"{metric} from {scale.show(curve[0])} to {scale.show(curve[-1])}"
        if curve
        else "",
        failed=bool(trial.error),
    )


def _facts(trial: TrialResult, runs: Sequence[str]) -> tuple[tuple[str, str], ...]:
    facts = {
        "confirmed by": ", ".join(runs),
        "seed": str(trial.seed),
        "precision": trial.precision,
        "rows in a pass": str(trial.micro_batch) if trial.micro_batch else "",
        "node": trial.node,
        "slot": str(trial.slot) if trial.slot >= 0 else "",
        "attempts": str(trial.attempts) if trial.attempts > 1 else "",
        "checkpoint": trial.checkpoint,
        "beyond": ", ".join(trial.violated),
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
