"""How every confirmed student did on every test row, as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raykd.errors import SetupError, SpecError
from raykd.results.confirmed import confirm_seed
from raykd.results.records import SweepResult, TrialResult
from raykd.results.reported_runs import all_reported_runs
from raykd.results.row_outcomes import PREDICTION, read_predictions
from raykd.results.summary import metric_of
from raykd.whole_file import reason, whole_file


def write_predictions(result: SweepResult, run: Path, path: Path) -> int:
    """Write one row for each confirm run that an arm is reported by and test row.

    The columns are task, arm, method, repeat, seed, trial_id, row (from 0, in the order of the test
    split), metric, prediction, and outcome. The prediction is a class, a number, an answer or a
    text, in words; null where the task does not say, and in runs of earlier versions. The outcome
    is whether the row is right (1 or 0), or what it adds to the metric; the mean of the outcomes of
    a run is its metric.

    Args:
        result: The records of the run.
        run: Its folder.
        path: The file to write.

    Returns:
        How many rows.

    Raises:
        SpecError: No outcomes were kept.
        SetupError: The file cannot be written.
    """
    trials = [t for t in all_reported_runs(result) if t.row_outcomes in result.row_outcomes]
    if not trials:
        raise SpecError(
            f"{result.run} has no outcomes of test rows",
            hint="they are kept by the confirm stage, for metrics that come from rows",
        )
    lengths = [len(result.row_outcomes[t.row_outcomes]) for t in trials]
    names: dict[str, list[Any]] = {
        "task": [t.task for t in trials],
        "arm": [t.arm for t in trials],
        "method": [t.method for t in trials],
        "repeat": [t.repeat for t in trials],
        "seed": [confirm_seed(t) for t in trials],
        "trial_id": [t.trial_id for t in trials],
        "metric": [metric_of(result, t.task)[0] for t in trials],
    }
    which = np.repeat(np.arange(len(trials), dtype=np.int32), lengths)
    columns = {n: pa.array(of).dictionary_encode().take(which) if isinstance(of[0], str)
               else pa.array(of).take(which) for n, of in names.items()}  # fmt: skip
    columns["row"] = pa.array(np.concatenate([np.arange(n, dtype=np.int32) for n in lengths]))
    columns[PREDICTION] = pa.array(
        [of for t, n in zip(trials, lengths, strict=True) for of in _predictions(run, t, n)],
        pa.string(),
    )
    columns["outcome"] = pa.array(
        np.concatenate([result.row_outcomes[t.row_outcomes] for t in trials])
    )
    table = pa.table(columns)
    try:
        with whole_file(path) as part:
            pq.write_table(table, part, compression="zstd")
    except OSError as exc:
        raise SetupError(
            f"cannot write {path}: {reason(exc)}",
            hint="name a file in a folder that exists and has room",
        ) from exc
    return len(table)


def _predictions(run: Path, trial: TrialResult, rows: int) -> list[str | None]:
    kept = read_predictions(run, trial)
    return kept if len(kept) == rows else [None] * rows
