"""A sweep as text for other programs: JSON with everything, CSV with one row per trial."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from raykd.results.codec import json_safe, to_dict
from raykd.results.records import SweepResult

_COLUMNS = (
    "task", "label", "method", "stage", "trial_id", "number", "status", "objective", "seed",
    "started", "seconds", "device_seconds", "node", "slot", "attempts", "error",
)  # fmt: skip


def as_data(result: SweepResult) -> dict[str, Any]:
    """The whole result as plain data."""
    return {
        "name": result.name,
        "run": result.run,
        "spec": result.spec,
        "command": result.command,
        "env": result.env,
        "baseline": result.baseline,
        "started": result.started,
        "finished": result.finished,
        "interrupted": result.interrupted,
        "notes": list(result.notes),
        "tasks": [to_dict(t) for t in result.tasks],
        "teachers": [to_dict(t) for t in result.teachers],
        "trials": [to_dict(t) for t in result.trials],
    }


def as_json(result: SweepResult) -> str:
    """`as_data` as strict JSON; NaN becomes null."""
    return json.dumps(json_safe(as_data(result)), allow_nan=False) + "\n"


def as_csv(result: SweepResult) -> str:
    """One row per trial; each parameter and metric that occurs has a column of its own."""
    params = sorted({n for t in result.trials for n in t.params})
    metrics = sorted({n for t in result.trials for n in t.metrics})
    head = [*_COLUMNS, *(f"params.{n}" for n in params), *(f"metrics.{n}" for n in metrics)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for trial in result.trials:
        plain = to_dict(trial)
        row = [plain[name] for name in _COLUMNS]
        row += [trial.params.get(n, "") for n in params] + [
            trial.metrics.get(n, "") for n in metrics
        ]
        writer.writerow(row)
    return buffer.getvalue()
