"""Reads the rows of a task and splits them into roles: train, validation, test, finetune."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from raykd.data.base import DataSettings, Examples, Task
from raykd.data.folder import root_folder
from raykd.data.hold_out import choose, hold_out
from raykd.data.keys import at_key
from raykd.data.notes import note
from raykd.data.rationales import from_file, rationales_as_input, relabelled, with_rationales
from raykd.data.table import NoSplit
from raykd.errors import SpecError
from raykd.spec.schema import RationaleSpec, SweepSpec
from raykd.spec.splits import split_problems
from raykd.sweep.augmented_rows import augmented
from raykd.sweep.tasks import task_of
from raykd.sweep.user_cache import open_cache


def load_row_roles(task: Task, spec: SweepSpec) -> dict[str, Examples]:
    """Rows by role: ``finetune`` and ``train``, which may share rows, ``validation``, ``test``.

    Companions of the test split, where they can be reached, are ``test_<suffix>``.

    Parts that are held out from a split are disjoint. What is trained on is what they leave of
    train; likewise, a role that names all of a split has what a part of it leaves. Roles that have
    the same rows share the object, so that nothing is done twice for them.

    Raises:
        SpecError: A role would have the rows that are trained on.
        DataError: The rows are not what the task needs.
    """
    data = spec.data
    if problems := split_problems(data):
        raise SpecError(found=problems)
    if data.root is not None:
        root_folder(data.root)  # also where a task has a folder of its own
        if not any(task_of(spec, name).reads_root for name in spec.tasks):
            note(f"no task of this file has rows under data.root, '{data.root}'")
    _tell_unread(task, spec)
    settings = DataSettings(root=data.root, limit=data.limit, seed=data.seed)
    whole = {"train": _load(task, "train", settings, data.rationales)}
    left = {"train": np.arange(len(whole["train"]))}
    found: dict[str, Examples] = {}
    refs = {"validation": data.select_on, "test": data.report_on}
    for role, ref in refs.items():
        given = {"validation": "select_on", "test": "report_on"}[role]
        key = f"data.{given}" if given in data.model_fields_set else ""
        if ref.split not in whole:
            with _asked_by(key):
                whole[ref.split] = _load(task, ref.split, settings, data.rationales)
            left[ref.split] = np.arange(len(whole[ref.split]))
        if ref.fraction is not None:
            with at_key(key and f"{key}.fraction"):
                keep, part = hold_out(len(left[ref.split]), float(ref.fraction), data.seed)
            found[role] = whole[ref.split].take(left[ref.split][part])
            left[ref.split] = left[ref.split][keep]
    for role, ref in refs.items():
        if ref.fraction is None:
            rows, rest = whole[ref.split], left[ref.split]
            found[role] = rows if len(rest) == len(rows) else rows.take(rest)
    if data.report_on.split == task.extra_eval_with and data.report_on.fraction is None:
        reachable = task.splits(settings)
        for suffix, split in task.extra_eval_splits.items():
            if split in reachable:
                found[f"test_{suffix}"] = _load(task, split, settings, data.rationales)
    train = whole["train"]
    finetune_rows = spec.teacher.finetune.get("rows")
    assert finetune_rows is None or isinstance(finetune_rows, int)
    found["finetune"] = train.take(choose(left["train"], finetune_rows, data.seed))
    found["train"] = train.take(choose(left["train"], data.student_rows, data.seed))
    if data.augment is not None:
        with at_key("data.augment.vectors" if data.augment.model is None else "data.augment"):
            found["train"] = augmented(task, found["train"], data.augment, open_cache()[0].folder)
    if data.label_type == "llm":
        with at_key("data.label_type"):
            found["train"] = relabelled(found["train"], task.name)
    return found


def _tell_unread(task: Task, spec: SweepSpec) -> None:
    """Tell names of files for splits that no role has; they may be misspelt."""
    own = spec.own_tasks.get(task.name)
    read = {"train", spec.data.select_on.split, spec.data.report_on.split}
    if unread := [split for split in (own.splits if own else ()) if split not in read]:
        note(f"splits of task '{task.name}' that nothing reads: {', '.join(unread)}")


@contextmanager
def _asked_by(key: str) -> Iterator[None]:
    """Name the key that asks for a split, where there is no such split.

    A file that the task's description names for the split stays the place of the mistake.
    """
    try:
        yield
    except NoSplit as exc:
        said = any(problem.path.startswith(".splits.") for problem in exc.problems())
        if not key or said:
            raise
        found = [replace(problem, path=f"{key}.split") for problem in exc.problems()]
        raise exc.with_problems(found) from exc


def _load(task: Task, split: str, settings: DataSettings, rationales: RationaleSpec) -> Examples:
    """Rows of a split, with rationales from where the search space says."""
    rows = task.load(split, settings)
    if rationales.file is not None:
        with at_key("data.rationales.source"):
            told = from_file(Path(rationales.file), split)
            rows = with_rationales(rows, told, f"{rationales.file} ({task.name}, {split})")
    if not rationales.as_input:
        return rows
    with at_key("data.rationales.as_input"):
        return rationales_as_input(rows, task.name)
