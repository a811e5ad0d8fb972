"""Outcomes of confirm runs on each test row: small Parquet files next to the table of trials.

One file per run, written whole before the end of the run is on record, so that a record never names
a file that is not there. A row that is right or wrong takes one bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from raykd.errors import SetupError
from raykd.results.confirmed import configuration_key
from raykd.results.records import TrialResult
from raykd.whole_file import reason, whole_file

FOLDER = "row_outcomes"
COLUMN, PREDICTION = "outcome", "prediction"


def write_row_outcomes(
    run: Path,
    trial_id: str,
    params: Mapping[str, Any],
    values: NDArray[np.float32],
    predictions: Sequence[str] | None = None,
) -> str:
    """Write the outcomes of a run, and what it predicted.

    Args:
        run: The run folder.
        trial_id: The run; another configuration may have the same id after a resumed search.
        params: Its configuration.
        values: What each test row adds to the metric, ``[N]``.
        predictions: What is predicted for each of them, in words, N of them.

    Returns:
        The file, relative to the run folder.

    Raises:
        SetupError: The disk is full, or the file cannot be written.
    """
    target = run / FOLDER / f"{trial_id}.{configuration_key(params)}.parquet"
    write_outcomes(target, values, predictions)
    return f"{FOLDER}/{target.name}"


def write_outcomes(
    target: Path, values: NDArray[np.float32], predictions: Sequence[str] | None = None
) -> None:
    """Write outcomes by row into a file of their own; its folder is made.

    Args:
        target: The file.
        values: ``[N]``.
        predictions: N of them, or None.

    Raises:
        SetupError: The disk is full, or the file cannot be written.
    """
    columns = {COLUMN: pa.array(values.astype(bool) if is_binary(values) else values)}
    if predictions is not None:
        columns[PREDICTION] = pa.array(predictions, pa.string())
    try:
        target.parent.mkdir(exist_ok=True)
        with whole_file(target) as part:
            pq.write_table(pa.table(columns), part, compression="zstd")
    except OSError as exc:
        raise SetupError(
            f"cannot write {target}: {reason(exc)}",
            hint="free some space; what was there is kept, and raykd sweep --resume continues",
        ) from exc


def is_binary(values: NDArray[np.float32]) -> bool:
    """Whether each row is right or wrong."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def read_row_outcomes(run: Path, trials: Iterable[TrialResult]) -> dict[str, NDArray[np.float32]]:
    """The outcomes that are there, by `TrialResult.row_outcomes`.

    A file that is missing or cannot be read is left out: what needs it falls back to less.
    """
    columns = {}
    for name in dict.fromkeys(t.row_outcomes for t in trials if t.row_outcomes):
        # Its name comes from a record: of a folder that was sent, it may be any.
        values = read_outcomes(run / FOLDER / PurePath(name).name)
        if values is not None:
            columns[name] = values
    return columns


def read_outcomes(path: Path) -> NDArray[np.float32] | None:
    """What `write_outcomes` wrote; None where it is missing or cannot be read."""
    try:
        column = pq.read_table(path, columns=[COLUMN])[COLUMN]
        values: NDArray[np.float32] = column.to_numpy().astype(np.float32)
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None
    return values


def read_predictions(run: Path, trial: TrialResult) -> list[str | None]:
    """What a confirm run predicted for each test row; empty where that was not kept."""
    path = run / FOLDER / PurePath(trial.row_outcomes).name
    try:
        column: list[str | None] = pq.read_table(path, columns=[PREDICTION])[PREDICTION].to_pylist()
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return []
    return column
