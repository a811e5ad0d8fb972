"""``python -m docs_pages.publish RUN FOLDER``: keeps a bake-off, without whose machine it ran on.

The folder gets the table of trials, the report without the library of its charts, the verdicts with
the tables behind them, and the environment. The page of bake-offs is made of these files
(`docs_pages.bakeoffs`).
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raykd.report.build import PLOTLY_FILE, build_report
from raykd.report.sections import arms
from raykd.results.diagnose import diagnose
from raykd.results.merge import load_runs
from raykd.results.records import SweepResult
from raykd.results.serialization import json_safe
from raykd.results.store import write_trials
from raykd.results.verdict import verdict


def publish(run: Path, folder: Path) -> None:
    """Write what is kept of a run.

    Args:
        run: The run folder.
        folder: Where to; what is there of an earlier run is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = load_runs([run], is_anonymous=True)
    write_trials(folder, result.trials)
    build_report(run, folder / "report.html", "directory", is_anonymous=True)
    (folder / PLOTLY_FILE).unlink()
    _write(folder / "verdict.json", verdicts(result))
    _write(folder / "env.json", result.env)


def verdicts(result: SweepResult) -> dict[str, Any]:
    """The verdict of each task, with the tables that the report shows."""
    compared = arms.record(result)
    if compared is None:
        raise SystemExit("no task of the run was prepared")
    search, plan = result.spec["search"], result.spec["confirm"]
    return {
        "name": result.name,
        "description": result.spec.get("description", ""),
        "baseline": result.baseline,
        "arms": list(result.arms),
        "searches of an arm": result.searches,
        "trials of a search": search["trials"],
        "confirm seeds": plan["seeds"],
        "trials": sum(t.stage == "search" for t in result.trials),
        "confirm runs": sum(t.stage == "confirm" for t in result.trials),
        "seconds": round(result.worked or result.finished - result.started),
        "device seconds": round(math.fsum(t.device_seconds for t in result.trials)),
        "tasks": [
            {**_task(result, table.task), "columns": table.columns, "caption": table.caption,
             "rows": [row.cells for row in table.rows]}
            for table in compared.tasks
        ],
        "over tasks": {
            "heading": compared.heading, "columns": compared.matrix_columns,
            "rows": compared.matrix, "note": compared.matrix_note,
        },
        "caveats": list(_caveats(result)),
    }  # fmt: skip


def _task(result: SweepResult, task: str) -> dict[str, Any]:
    record = result.task(task)
    teachers = {
        t.name or "teacher": {"model": t.model, "weights": t.parameters, "metrics": t.metrics,
                              "seconds": round(t.seconds)}
        for t in result.teachers if t.task == task
    }  # fmt: skip
    return {
        **dataclasses.asdict(verdict(result, task)),
        "metric": record.metric,
        "split sizes": record.rows,
        "student": {"model": record.student, "weights": record.student_parameters},
        "teachers": teachers,
    }


def _caveats(result: SweepResult) -> Iterator[dict[str, str]]:
    for caveat in diagnose(result):
        yield {"task": caveat.task, "arm": caveat.arm, "message": caveat.message}


def _write(path: Path, plain: Mapping[str, Any]) -> None:
    text = json.dumps(json_safe(plain), allow_nan=False, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]))
