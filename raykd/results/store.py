"""The run folder: reading a sweep back from it, and writing the table of its trials.

The event log is the truth; everything else in the folder is derived from it or describes the start.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raykd.errors import RaykdError
from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.records import SweepResult, TrialResult
from raykd.results.replay import Event, Replay
from raykd.results.row_outcomes import read_row_outcomes
from raykd.results.serialization import from_dict, json_safe, to_dict
from raykd.whole_file import whole_file

__all__ = ["VERSION", "from_dict", "load_results", "read_events", "to_dict", "write_trials"]

VERSION = 2
_DEFAULT_BASELINES = ("kd", *METHODS_WITHOUT_TEACHER)


def load_results(run: str | Path) -> SweepResult:
    """Read a run folder, whether the run is done, still going, or was killed.

    Args:
        run: The run folder.

    Raises:
        RaykdError: If the folder is no run, a file is missing, or a line cannot be read.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise RaykdError(f"{folder} is not a folder", hint="list the runs: raykd ls runs")
    if not (folder / "events.jsonl").is_file():
        raise RaykdError(
            f"{folder} is not a run folder: it has no events.jsonl",
            hint="give the folder that `raykd sweep` printed as `run:`",
        )
    spec = _read_json(folder / "resolved.json")
    env = _read_json(folder / "env.json")
    _check_version(folder, env)
    for part in ("methods", "train"):
        if not isinstance(spec.get(part), Mapping):
            raise RaykdError(f"{folder / 'resolved.json'} has no '{part}'", hint="is it complete?")
    events, torn = read_events(folder / "events.jsonl")
    name = folder.resolve().name
    replay = Replay(run=name, spec=spec)
    try:
        replay.apply(events)
    except (KeyError, TypeError, ValueError) as exc:
        raise RaykdError(
            f"{folder / 'events.jsonl'} holds an event that cannot be understood: {exc!r}",
            hint=f"this raykd reads run folders of version {VERSION}",
        ) from exc
    trials = replay.trials()
    return SweepResult(
        name=str(spec.get("name", name)),
        run=name,
        spec=spec,
        spec_text=_read_text(folder / "resolved.yaml"),
        command=_command(env),
        env=env,
        baseline=_baseline(env, spec),
        tasks=tuple(replay.tasks.values()),
        teachers=tuple(replay.teachers.values()),
        trials=trials,
        derived=tuple(replay.derived.values()),
        spans=tuple(replay.spans),
        started=replay.started or float(env.get("started") or 0.0),
        finished=replay.finished,
        interrupted=replay.interrupted,
        notes=tuple(_notes(replay, torn)),
        worked=replay.worked,
        row_outcomes=read_row_outcomes(folder, trials),
        seed_plans=replay.seed_plans,
        lags=replay.lags,
    )


def read_events(path: Path) -> tuple[list[Event], int]:
    """The events of a log, and how many lines were torn by a kill or a full disk and left out.

    A torn line is usually the last one, but a resumed sweep goes on after it.

    Raises:
        RaykdError: If a line is no torn event but something else.
    """
    events: list[Event] = []
    torn = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if not text:
                continue
            if not text.startswith("{"):
                raise RaykdError(
                    f"{path}:{number}: expected a JSON object, got {text[:60]!r}",
                    hint="the event log is written by raykd only; was it edited?",
                )
            try:
                events.append(json.loads(text))
            except json.JSONDecodeError:
                torn += 1
    return events, torn


def write_trials(run: str | Path, trials: Iterable[TrialResult]) -> Path:
    """Write ``trials.parquet``, one row per trial, in one step: a reader never sees half a file.

    Histories are list columns (``history_step``, ``history_epoch``, ``history_seconds``
    and, as JSON, ``history_metrics`` and ``history_terms``); parameters and
    metrics are JSON strings, since their names differ from arm to arm.

    Returns:
        The file.
    """
    target = Path(run) / "trials.parquet"
    rows = [_row(t) for t in trials]
    with whole_file(target) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), part)
    return target


_TEXT = ("sweep", "task", "arm", "method", "trial_id", "stage", "status", "params", "metrics",
         "node", "precision", "error", "traceback", "checkpoint", "row_outcomes")  # fmt: skip
_SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in _TEXT]
    + [pa.field(name, pa.int64()) for name in ("number", "seed", "slot", "attempts")]
    + [pa.field(n, pa.float64()) for n in ("objective", "started", "seconds", "device_seconds")]
    + [
        pa.field("control", pa.bool_()),
        pa.field("spared", pa.float64()),
        pa.field("searched", pa.list_(pa.string())),
        pa.field("history_step", pa.list_(pa.int64())),
        pa.field("history_epoch", pa.list_(pa.float64())),
        pa.field("history_seconds", pa.list_(pa.float64())),
        pa.field("history_metrics", pa.list_(pa.string())),
        pa.field("history_terms", pa.list_(pa.string())),
    ]
)


def _row(trial: TrialResult) -> dict[str, Any]:
    row = {k: v for k, v in to_dict(trial).items() if k != "history"}
    row["params"] = _dump(trial.params)
    row["metrics"] = _dump(trial.metrics)
    # Seeds are hashes and may use all 64 bits; the column is signed.
    row["seed"] = trial.seed - 2**64 if trial.seed >= 2**63 else trial.seed
    for name in ("step", "epoch", "seconds"):
        row[f"history_{name}"] = [getattr(e, name) for e in trial.history]
    row["history_metrics"] = [_dump(e.metrics) for e in trial.history]
    row["history_terms"] = [_dump(e.terms) for e in trial.history]
    return row


def _dump(values: Mapping[str, Any]) -> str:
    return json.dumps(json_safe(values), sort_keys=True, allow_nan=False)


def _notes(replay: Replay, torn: int) -> Iterator[str]:
    yield from replay.notes
    if torn:
        lines = "a line" if torn == 1 else f"{torn} lines"
        yield f"{lines} of the event log had no end, as after a kill, and was left out"
    if not replay.finished:
        yield "the run has no end: it is still going, or was killed"


def _command(env: Mapping[str, Any]) -> str:
    command = env.get("command", "")
    is_list = isinstance(command, Sequence) and not isinstance(command, str)
    return shlex.join(str(part) for part in command) if is_list else str(command)


def _baseline(env: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    arms = tuple(spec["methods"])
    wanted = (env.get("baseline"), (spec.get("report") or {}).get("baseline"), *_DEFAULT_BASELINES)
    return next((str(w) for w in wanted if w in arms), arms[0] if arms else "")


def _check_version(folder: Path, env: Mapping[str, Any]) -> None:
    version = env.get("version", VERSION)
    if version != VERSION:
        raise RaykdError(
            f"{folder} is a run folder of version {version}, this raykd reads version {VERSION}",
            hint="install the version of raykd named in its env.json",
        )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise RaykdError(
            f"{path.parent} is not complete: {path.name} is missing",
            hint="the file is written when a sweep starts; was the folder copied as a whole?",
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else f"it is not UTF-8 ({exc.reason})"
        raise RaykdError(f"{path} cannot be read: {why}", hint="was it edited?") from exc


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read_text(path))
    except json.JSONDecodeError as exc:
        raise RaykdError(f"{path}:{exc.lineno}:{exc.colno}: not JSON: {exc.msg}") from exc
    if not isinstance(value, dict):
        raise RaykdError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value
