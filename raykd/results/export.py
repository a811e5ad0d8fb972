"""Exports a sweep: JSON with everything, CSV with one row per trial."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from raykd.results.csv_cells import cell
from raykd.results.records import SweepResult, TrialResult
from raykd.results.scales import Scale
from raykd.results.serialization import json_safe, to_dict
from raykd.results.summary import metric_of, scale_of

_COLUMNS = (
    "task", "arm", "method", "stage", "trial_id", "number", "repeat", "status", "objective", "seed",
    "started", "seconds", "device_seconds", "node", "slot", "attempts", "precision",
    "error",
)  # fmt: skip
_SCORE = ("metric", "split", "score", "unit")


def as_data(result: SweepResult) -> dict[str, Any]:
    """The whole result as plain data, without the name of who ran it."""
    return {
        "name": result.name,
        "run": result.run,
        "spec": result.spec,
        "command": result.command,
        "env": _without_user(result.env),
        "baseline": result.baseline,
        "started": result.started,
        "finished": result.finished,
        "worked": result.worked,
        "interrupted": result.interrupted,
        "notes": [*result.notes, *result.teacher_notes],
        "tasks": [to_dict(t) for t in result.tasks],
        "teachers": [to_dict(t) for t in result.teachers],
        "trials": [to_dict(t) for t in result.trials],
        "outside": [score.plain() for score in result.outside],
    }


def _without_user(env: Mapping[str, Any]) -> dict[str, Any]:
    """An environment and those of its resumptions; the name is recorded only to be left out."""
    kept = {name: value for name, value in env.items() if name != "user"}
    if "resumed" in kept:
        kept["resumed"] = [_without_user(again) for again in kept["resumed"]]
    return kept


def as_json(result: SweepResult) -> str:
    """`as_data` as strict JSON; NaN becomes null."""
    return json.dumps(json_safe(as_data(result)), allow_nan=False) + "\n"


def as_csv(result: SweepResult) -> str:
    """`table` as text: what a trial does not have is empty.

    A text that a spreadsheet would compute begins with an apostrophe.
    """
    head, rows = table(result)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in (head, *rows):
        writer.writerow([cell(value) for value in row])
    return buffer.getvalue()


def table(result: SweepResult) -> tuple[list[str], list[list[Any]]]:
    """One row per trial; each parameter and metric that occurs has a column of its own.

    ``score`` is what the report shows of a trial: ``metric`` on ``split``, in ``unit``. Objective
    and metrics are as they were measured, shares in [0, 1].

    Returns:
        The names of the columns, and the rows; None is what a trial does not have.
    """
    params = sorted({n for t in result.trials for n in t.params})
    metrics = sorted({n for t in result.trials for n in t.metrics})
    scales = {task: scale_of(result, task) for task in dict.fromkeys(t.task for t in result.trials)}
    head = [
        *_COLUMNS,
        *_SCORE,
        *(f"params.{n}" for n in params),
        *(f"metrics.{n}" for n in metrics),
    ]
    rows = []
    for trial in result.trials:
        plain = to_dict(trial)
        row = [plain[name] for name in _COLUMNS]
        row += _score(result, trial, scales[trial.task])
        row += [trial.params.get(n) for n in params] + [trial.metrics.get(n) for n in metrics]
        rows.append(row)
    return head, rows


def _score(result: SweepResult, trial: TrialResult, scale: Scale) -> list[Any]:
    """The score of a trial in the unit of the report, and what it is."""
    metric, _ = metric_of(result, trial.task)
    confirmed = trial.metrics.get(f"test/{metric}") if trial.stage == "confirm" else None
    value = trial.objective if confirmed is None else confirmed
    split = "test" if confirmed is not None else "validation"
    if value is None or not math.isfinite(value):
        return [metric, split, None, scale.unit]
    return [metric, split, round(scale.factor * value, 10), scale.unit]
