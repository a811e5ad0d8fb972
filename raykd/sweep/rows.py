"""Which rows play which role in a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raykd.data.base import DataSettings, Rows, Task
from raykd.data.carve import carve, choose
from raykd.data.explanations import from_file, prompted, relabelled, with_rationales
from raykd.spec.schema import RationaleSpec, SweepSpec
from raykd.sweep.augmenting import augmented
from raykd.sweep.places import open_cache


def roles(task: Task, spec: SweepSpec) -> dict[str, Rows]:
    """Rows by role: ``finetune``, ``train``, ``select``, ``report``; the first two may share rows.

    Companions of the report split, where they can be reached, are ``report_<suffix>``.

    Parts carved out of train are disjoint from each other and from what is trained on. Roles that
    have the same rows share the object, so that nothing is done twice for them.
    """
    data = spec.data
    settings = DataSettings(root=data.root, limit=data.limit, seed=data.seed)
    train = _load(task, "train", settings, data.rationales)
    left = np.arange(len(train))
    found: dict[str, Rows] = {}
    for role, ref in (("select", data.select_on), ("report", data.report_on)):
        if ref.split == "train" and ref.fraction is not None:
            keep, part = carve(len(left), float(ref.fraction), data.seed)
            found[role] = train.take(left[part])
            left = left[keep]
        elif ref == data.select_on and "select" in found:
            found[role] = found["select"]
        else:
            rows = train
            if ref.split != "train":
                rows = _load(task, ref.split, settings, data.rationales)
            if ref.fraction is not None:
                rows = rows.take(carve(len(rows), float(ref.fraction), data.seed)[1])
            found[role] = rows
    if data.report_on.split == task.companions_of and data.report_on.fraction is None:
        there = task.splits(settings)
        for suffix, split in task.companions.items():
            if split in there:
                found[f"report_{suffix}"] = _load(task, split, settings, data.rationales)
    finetune_rows = spec.teacher.finetune.get("rows")
    assert finetune_rows is None or isinstance(finetune_rows, int)
    found["finetune"] = train.take(choose(left, finetune_rows, data.seed))
    found["train"] = train.take(choose(left, data.student_rows, data.seed))
    if data.augment is not None:
        found["train"] = augmented(task, found["train"], data.augment, open_cache()[0].folder)
    if data.label_type == "llm":
        found["train"] = relabelled(found["train"], task.name)
    return found


def _load(task: Task, split: str, settings: DataSettings, rationales: RationaleSpec) -> Rows:
    """Rows of a split, with rationales from where the search space says."""
    rows = task.load(split, settings)
    if rationales.file is not None:
        told = from_file(Path(rationales.file), split)
        rows = with_rationales(rows, told, f"{rationales.file} ({task.name}, {split})")
    return prompted(rows, task.name) if rationales.as_input else rows
