"""Rows that stand in more than one split: how many, found by what a model reads of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from raykd.data.base import Examples, Task
from raykd.data.batch import LABELLED


def digests(task: Task, rows: Examples) -> list[bytes]:
    """A hash of what a model reads of each row: all texts and choices, not the label."""
    columns = task.read_of(rows)
    hashes = []
    for row in zip(*columns, strict=True):
        digest = hashlib.blake2b(digest_size=16)
        for part in row:
            data = part.encode("utf-8", "surrogatepass")
            # Lengths first: the same characters cut differently are different rows.
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        hashes.append(digest.digest())
    return hashes


def shared(
    task: Task, splits: Mapping[str, Examples], trained: Sequence[str]
) -> Mapping[str, tuple[int, int]]:
    """How many rows of a split that is scored occur where they should not.

    Args:
        task: Says what a model reads of a row.
        splits: Rows by role: ``validation``, ``test`` and its extra splits, and what is trained on.
        trained: Roles that a teacher or a student is trained on.

    Returns:
        Rows that are shared and rows there are, by ``test in train``, ``validation in train`` and
        ``test in validation``; only where there are any. ``train with another label`` counts the
        train rows of a classification that contradict another one.
    """
    scored = [role for role in splits if role == "validation" or role.partition("_")[0] == "test"]
    done: dict[int, list[bytes]] = {}
    for role in (*scored, *trained):
        if id(splits[role]) not in done:
            done[id(splits[role])] = digests(task, splits[role])
    of = {role: done[id(splits[role])] for role in (*scored, *trained)}
    places = {
        "train": {d for role in trained for d in of[role]},
        "validation": set(of["validation"]),
    }
    counts: dict[str, tuple[int, int]] = {}
    for place, seen in places.items():
        for role in scored:
            count = sum(d in seen for d in of[role]) if role != place else 0
            if count:
                counts[f"{role} in {place}"] = count, len(of[role])
    if task.task_kind.has_class_names and task.task_kind.labels_of == "row":
        labels: dict[bytes, list[Any]] = defaultdict(list)
        train = splits["train"]
        marks = train.fields.get(LABELLED, (1.0,) * len(train))
        for digest, label, mark in zip(of["train"], train.labels.tolist(), marks, strict=True):
            if not mark:
                continue
            labels[digest].append(tuple(label) if isinstance(label, list) else label)
        count = sum(len(own) for own in labels.values() if len(set(own)) > 1)
        if count:
            counts["train with another label"] = count, len(of["train"])
    return counts
