"""Writes the folder of an exported student: its files, a model card and where it comes from."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raykd.errors import SetupError
from raykd.export.chosen import ChosenStudent
from raykd.export.command import later_trials, public_command
from raykd.export.licences import NONE_STATED, Licences
from raykd.export.measured import Measured, size_of
from raykd.export.model_card import model_card, summary_of
from raykd.models.shards import Shards
from raykd.models.weight_files import SAFE
from raykd.results.arm_teachers import learnt_from, own_score
from raykd.results.diagnose import diagnose
from raykd.results.public import public, without_addresses, without_folders
from raykd.results.serialization import json_safe
from raykd.results.student_mark import MARK
from raykd.results.summary import confirm_seed, task_metric

PROVENANCE = "raykd.json"
CARD = "README.md"


def export(
    student: ChosenStudent,
    to: str | Path,
    licences: Licences = NONE_STATED,
    measure: Callable[[Path], Measured] | None = None,
) -> Path:
    """Copy a student with its model card; the folder appears whole or not at all.

    Args:
        student: What is exported.
        to: The folder; it must not exist, or be empty.
        licences: What was stated of licences.
        measure: Times the student of a folder (`raykd.export.opened`), and may write graphs of it
            there (`raykd.export.onnx_files`).

    Returns:
        The folder.

    Raises:
        SetupError: There is something in it, or it cannot be written.
    """
    target = Path(to).absolute()
    check_target(target)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        shards = Shards(student.folder)
        left = (MARK, SAFE) if shards else (MARK,)
        shutil.copytree(student.folder, draft, ignore=shutil.ignore_patterns(*left))
        if shards:
            shards.write(draft)
        made = measure(draft) if measure is not None else None
        for name, text in _texts(student, licences, made).items():
            (draft / name).write_bytes(text)
        if target.is_dir():
            target.rmdir()
        os.replace(draft, target)
    except OSError as exc:
        raise SetupError(
            f"cannot write the student to {target}: {exc.strerror or exc}",
            hint="is there room, and may you write there?",
        ) from exc
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # nothing, where it has its name
    return target


def check_target(folder: Path) -> None:
    """Refuse a folder that has something in it.

    Raises:
        SetupError: It has, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SetupError(f"{folder.absolute()} exists and is not empty", hint="name another folder")


def planned(student: ChosenStudent, licences: Licences = NONE_STATED) -> dict[str, int]:
    """The files that `export` would write, with their bytes."""
    saved = sorted(path for path in student.folder.rglob("*") if path.is_file())
    files = {p.relative_to(student.folder).as_posix(): p.stat().st_size for p in saved}
    files.pop(MARK, None)
    if shards := Shards(student.folder).sizes():
        del files[SAFE]
        files |= shards
    return files | {name: len(text) for name, text in _texts(student, licences, None).items()}


def _texts(
    student: ChosenStudent, licences: Licences, measured: Measured | None
) -> dict[str, bytes]:
    """What is written next to the files of the student."""
    facts = {**provenance_of(student), "licences": dataclasses.asdict(licences)}
    facts["size_bytes"] = size_of(student.folder)
    if measured is not None:
        facts["pass_ms"] = measured.ms
        facts["onnx"] = dataclasses.asdict(measured) if measured.files else None
    provenance = json.dumps(json_safe(facts), indent=2, allow_nan=False)
    texts = {CARD: model_card(student, licences, measured), PROVENANCE: provenance + "\n"}
    return {name: text.encode() for name, text in texts.items()}


def provenance_of(student: ChosenStudent) -> dict[str, Any]:
    """Where a student comes from, as plain data."""
    result, trial = student.result, student.trial
    summary = summary_of(student)
    task = next(t for t in result.tasks if t.name == trial.task)
    teacher = learnt_from(result, trial)
    measure = task_metric(result, trial.task)
    interval = summary.confirmed
    return {
        "raykd": result.env.get("raykd"),
        "packages": result.env.get("packages"),
        "sweep": result.name,
        "command": public_command(result),
        "resumed_with_trials": list(later_trials(result)),
        "trial": trial.trial_id,
        "task": trial.task,
        "arm": trial.arm,
        "method": trial.method,
        "parameters": public(trial.params),
        "searched": list(trial.searched),
        "seed": confirm_seed(trial),
        "precision": trial.precision,
        "metric": measure.metric,
        "score": trial.metrics.get(f"test/{measure.metric}"),
        "scores_by_seed": {str(seed): score for seed, score in summary.seeds.items()},
        "mean": summary.score,
        "interval": [interval.low, interval.high] if interval and interval.has_interval else None,
        "verdict": [student.verdict.headline, *student.verdict.details],
        "caveats": {
            caveat.code: without_addresses(without_folders(caveat.message))
            for caveat in diagnose(result)
            if caveat.task in ("", trial.task)
        },
        "teacher": teacher and {
            "model": public(teacher.model),
            "fingerprint": teacher.fingerprint,
            "score": own_score(result, teacher),
        },
        "data": {"fingerprint": task.data_fingerprint, "rows": dict(task.rows)},
        "search": {"trials": summary.num_search, "device_seconds": summary.device_seconds},
        "search_space": public({k: of for k, of in result.spec.items() if k != "loggers"}),
    }  # fmt: skip
