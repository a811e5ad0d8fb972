"""The run folder: reading a sweep back from it, and writing the table of its trials.

The event log is the truth; everything else in the folder is derived from it or describes the start.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raykd.errors import RaykdError
from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.outside import read_outside
from raykd.results.recorded_spec import not_understood
from raykd.results.records import SweepResult, TrialResult
from raykd.results.replay import Event, Replay
from raykd.results.reported_runs import current_scores
from raykd.results.row_outcomes import read_row_outcomes
from raykd.results.serialization import from_dict, json_safe, to_dict
from raykd.results.version_one import LACKS, OLD_VERSION, current_events
from raykd.whole_file import whole_file

__all__ = ["VERSION", "from_dict", "load_results", "read_events", "to_dict", "write_trials"]

VERSION = 2
SPEC_HASH = "resolved.yaml"
"""Where the environment has the hash of the resolved search space."""
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
    spec, env = _beginning(folder)
    events, torn = read_events(folder / "events.jsonl")
    is_old = env.get("version") == OLD_VERSION
    name = folder.resolve().name
    replay = Replay(run=name, spec=spec)
    try:
        replay.apply(current_events(events) if is_old else events)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
        raise RaykdError(
            f"{folder / 'events.jsonl'} holds an event that cannot be understood: {exc!r}",
            hint=f"this raykd reads run folders of versions {OLD_VERSION} and {VERSION}",
        ) from exc
    trials = replay.trials()
    row_outcomes = read_row_outcomes(folder, trials)
    spec_text = _read_text(folder / "resolved.yaml")
    damaged = _damaged(env, spec_text, row_outcomes, trials)
    dropped = [*([LACKS] if is_old else []), *([torn_lines(torn)] if torn else []), *damaged]
    result = SweepResult(
        name=str(spec.get("name", name)),
        run=name,
        spec=spec,
        spec_text=spec_text,
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
        notes=tuple(_notes(replay, dropped)),
        teacher_notes=tuple(replay.teacher_notes),
        worked=replay.worked,
        row_outcomes=row_outcomes,
        seed_plans=replay.seed_plans,
        lags=replay.lags,
        loggers=replay.loggers,
    )
    return replace(result, outside=current_scores(result, read_outside(folder)))


def _beginning(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The resolved search space and the environment that a run began with."""
    spec = _read_json(folder / "resolved.json")
    env = _read_json(folder / "env.json")
    _check_version(folder, env)
    for part in ("methods", "train"):
        if not isinstance(spec.get(part), Mapping):
            raise RaykdError(f"{folder / 'resolved.json'} has no '{part}'", hint="is it complete?")
    for place, value in not_understood(spec):
        raise RaykdError(
            f"{folder / 'resolved.json'}: {place} cannot be understood, got {value!r:.80}",
            hint="written by another version of raykd (env.json), or changed since",
        )
    return spec, env


def read_events(path: Path) -> tuple[list[Event], int]:
    """The events of a log, and how many lines were torn by a kill or a full disk and left out.

    A torn line is usually the last one, but a resumed sweep writes on after it.

    Raises:
        RaykdError: If a line is no torn event but something else.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        return events_in(file, str(path))


def events_in(lines: Iterable[str], where: str) -> tuple[list[Event], int]:
    """The events in the lines of a log; see `read_events`."""
    events: list[Event] = []
    torn = 0
    for number, line in enumerate(lines, start=1):
        # After a power failure, what was cut may be zeros.
        text = line.strip().strip("\0")
        if not text:
            torn += "\0" in line
            continue
        if not text.startswith("{"):
            raise RaykdError(
                f"{where}:{number}: expected a JSON object, got {text[:60]!r}",
                hint="the event log is written by raykd only; was it edited?",
            )
        try:
            events.append(json.loads(text))
        except (ValueError, RecursionError):
            torn += 1
    return events, torn


def torn_lines(torn: int) -> str:
    """What to say of lines of the log that were left out."""
    lines = "a line" if torn == 1 else f"{torn} lines"
    return f"{lines} of the event log had no end, as after a kill, and was left out"


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
    + [pa.field(name, pa.int64()) for name in ("number", "repeat", "seed", "slot", "attempts")]
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


def text_hash(text: str) -> str:
    """What `env.json` has of ``resolved.yaml``, so that a truncated one is noticed."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _damaged(
    env: Mapping[str, Any],
    spec_text: str,
    row_outcomes: Mapping[str, Any],
    trials: Iterable[TrialResult],
) -> Iterator[str]:
    """Files that are not what the sweep wrote, as far as that can be seen."""
    if env.get(SPEC_HASH, text_hash(spec_text)) != text_hash(spec_text):
        yield "resolved.yaml was cut or changed since the sweep wrote it; resolved.json counts"
    lost = {t.row_outcomes for t in trials if t.row_outcomes} - set(row_outcomes)
    if lost:
        runs = "of a confirm run" if len(lost) == 1 else f"of {len(lost)} confirm runs"
        yield f"the outcomes by row {runs} cannot be read; only their means are compared"


def _notes(replay: Replay, dropped: Iterable[str]) -> Iterator[str]:
    yield from replay.notes
    yield from dropped
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
    wrong = other_version(env)
    if wrong is not None and env.get("version") != OLD_VERSION:
        raise RaykdError(
            f"{folder} is a run folder {wrong}, this raykd reads version {VERSION}",
            hint="install the version of raykd named in its env.json",
        )


def other_version(env: object) -> str | None:
    """Which version of run folders an environment is of, in words; None for this one."""
    version = env.get("version") if isinstance(env, Mapping) else None
    if version == VERSION:
        return None
    return "of no version" if version is None else f"of version {version}"


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
        raise RaykdError(
            f"{path}:{exc.lineno}:{exc.colno}: not JSON: {exc.msg}",
            hint="the file is cut, or was edited; bring it back from a copy of the run",
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise RaykdError(
            f"{path} is not JSON that raykd wrote: {exc}", hint="was it edited?"
        ) from exc
    if not isinstance(value, dict):
        raise RaykdError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value
