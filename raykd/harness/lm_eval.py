"""Runs lm-evaluation-harness on students of a run, one after the other, in this process."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raykd.errors import SetupError, SpecError
from raykd.harness.rows import outcomes_by_row
from raykd.harness.students import SavedStudent
from raykd.results.confirmed import configuration_key
from raykd.results.outside_score import OutsideScore

GENERATES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""What the classes of models end with that the harness can ask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HarnessSettings:
    """How the harness is run.

    Attributes:
        tasks: Names of its tasks, groups, or files of tasks.
        include: A folder with further tasks, or None.
        shots: Examples before each row; None for what the task says.
        limit: Most rows of a task; None for all.
        batch_size: Rows in a pass.
        device: As torch names it; empty for a GPU where there is one.
    """

    tasks: tuple[str, ...]
    include: Path | None = None
    shots: int | None = None
    limit: int | None = None
    batch_size: int = 8
    device: str = ""


def check(students: Sequence[SavedStudent], settings: HarnessSettings) -> Any:
    """Refuse what cannot be evaluated, before the first student is loaded.

    Returns:
        The harness's index of tasks.

    Raises:
        SetupError: The harness is not installed.
        SpecError: A student writes no text, or there is no such task.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise SetupError("lm-evaluation-harness is not installed", hint="pip install 'raykd[eval]'")
    for student in students:
        name = _class_of(student.folder)
        if name and not name.endswith(GENERATES):
            raise SpecError(
                f"the harness evaluates models that write text, and the student of "
                f"'{student.trial.arm}' on {student.trial.task} is a {name}",
                hint="its scores on the test split are in the report",
            )
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    index = TaskManager(include_path=str(settings.include) if settings.include else None)
    known = {*index.all_tasks}
    if unknown := [t for t in settings.tasks if t not in known and not Path(t).is_file()]:
        raise SpecError(
            f"the harness has no task '{unknown[0]}'",
            hint="lm-eval ls tasks lists them; --include-path DIR adds a folder of your own",
        )
    return index


def evaluate(
    students: Sequence[SavedStudent],
    settings: HarnessSettings,
    on_scores: Callable[[SavedStudent, tuple[OutsideScore, ...]], None],
    on_student: Callable[[SavedStudent], None] = lambda student: None,
) -> None:
    """Evaluate students one by one; the scores of each are handed over before the next.

    Args:
        students: Whom.
        settings: With what.
        on_scores: Called with a student and its scores.
        on_student: Called with a student before it is evaluated.

    Raises:
        SetupError, SpecError: See `check`; or the harness cannot reach or read its data.
    """
    index = check(students, settings)
    import torch
    from lm_eval import simple_evaluate

    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    for student in students:
        on_student(student)
        try:
            with _quiet():
                results = simple_evaluate(
                    model="hf", model_args=_model(student.folder), tasks=list(settings.tasks),
                    num_fewshot=settings.shots, batch_size=settings.batch_size,
                    device=device, limit=settings.limit, bootstrap_iters=0,
                    log_samples=True, task_manager=index,
                )  # fmt: skip
        except Exception as exc:  # of the harness, of its data, or of the hub
            lines = str(exc).strip().splitlines()
            raise SetupError(
                f"the harness could not evaluate {student.trial.trial_id}: "
                f"{type(exc).__name__}{f': {lines[0]}' if lines else ''}",
                hint="scores of the students before it are kept; are its data within reach?",
            ) from exc
        on_scores(student, tuple(_scores(student, results)))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars of the libraries, and what git says of a folder that is no checkout."""
    kept = os.dup(2)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # also of processes that are started
        try:
            with contextlib.redirect_stderr(nowhere):
                yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _model(folder: Path) -> dict[str, str]:
    adapter = folder / "adapter_config.json"
    if not adapter.is_file():
        return {"pretrained": str(folder), "tokenizer": str(folder)}
    base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
    return {"pretrained": base, "peft": str(folder), "tokenizer": str(folder)}


def _scores(student: SavedStudent, results: Mapping[str, Any]) -> Iterator[OutsideScore]:
    """Every number that the harness says of a benchmark, without its own standard errors."""
    harness = f"lm-evaluation-harness {importlib.metadata.version('lm_eval')}"
    for benchmark, values in results["results"].items():
        better = results["higher_is_better"].get(benchmark) or {}
        for key, value in values.items():
            metric, _, filtered = key.partition(",")
            if not filtered or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            version = results["versions"].get(benchmark)
            rows = (results.get("samples") or {}).get(benchmark) or ()
            yield OutsideScore(
                task=student.trial.task,
                arm=student.trial.arm,
                seed=student.seed,
                repeat=student.trial.repeat,
                trial_id=student.trial.trial_id,
                benchmark=benchmark,
                metric=metric if filtered == "none" else f"{metric}, {filtered}",
                value=float(value),
                rows=int((results["n-samples"].get(benchmark) or {}).get("effective", 0)),
                shots=int(results["n-shot"].get(benchmark) or 0),
                mode="min" if better.get(metric) is False else "max",
                harness=harness if version is None else f"{harness}, task version {version}",
                params=configuration_key(student.trial.params),
                outcomes=outcomes_by_row(rows, metric, filtered, float(value)),
            )


def _class_of(folder: Path) -> str:
    """The class of a student; empty for an adapter, which does not say."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str((config.get("architectures") or [""])[0])
