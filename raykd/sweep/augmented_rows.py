"""Adds augmented train rows, which are cached on disk for the next sweep."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import numpy as np

from raykd.data.augment import Augmentation, WordSource, augment
from raykd.data.base import Examples, Task
from raykd.data.classification import TextTask
from raykd.data.hold_out import fingerprint
from raykd.data.vectors import WordVectors
from raykd.errors import Problem, SpecError
from raykd.models.mlm_augmentation import MLMWordSource
from raykd.spec.schema import AugmentSpec
from raykd.teachers.cache_index import AUGMENTED, touch
from raykd.teachers.locks import CacheLocks

FORMAT = 1
"""Raised when the same settings give other rows than before."""


def augmented(task: Task, rows: Examples, how: AugmentSpec, folder: Path | None) -> Examples:
    """The rows and those made of them, from disk when they were made before.

    Args:
        task: Must be a classification or regression of texts.
        rows: Train rows of students.
        how: What the search space says.
        folder: The cache, None for none.

    Raises:
        SpecError: The task has no texts whose words can be replaced.
        DataError: The word vectors cannot be read.
        SetupError: The masked language model cannot be reached.
    """
    if not isinstance(task, TextTask):
        found = Problem(
            path="data.augment",
            message=f"replaces words of texts; {task.name} has answers that depend on them",
            hint="leave it out: --set data.augment=null",
        )
        raise SpecError(found=[found])
    identity = [FORMAT, fingerprint({"train": rows}), how.model_dump(), _stamp(how.vectors)]
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]
    path = None if folder is None else folder / AUGMENTED / f"{name}.json"
    if path is not None and (kept := _read(path, rows)) is not None:
        return kept
    made = augment(
        rows,
        list(_sources(how)),
        Augmentation(copies=how.copies, probability=float(how.probability), seed=how.seed),
    )
    if folder is not None and path is not None:
        _write(made, path, folder)
    return made


def _read(path: Path, like: Examples) -> Examples | None:
    """Rows that were made before, None where they are not there or damaged."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        labels = np.asarray(plain["labels"], like.labels.dtype)
        texts = tuple(tuple(column) for column in plain["texts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    touch(path)
    return Examples(texts=texts, labels=labels)


def _write(made: Examples, path: Path, folder: Path) -> None:
    """Write rows, whole or not at all; where they cannot be kept, the next sweep makes them."""
    plain = json.dumps({"texts": made.texts, "labels": made.labels.tolist()})
    with contextlib.suppress(OSError), CacheLocks(folder).atomic_write(path, is_file=True) as draft:
        draft.write_text(plain, encoding="utf-8")


def _sources(how: AugmentSpec) -> list[WordSource]:
    sources: list[WordSource] = []
    if how.model is not None:
        sources.append(MLMWordSource(how.model, how.candidates))
    if how.vectors is not None:
        sources.append(WordVectors(how.vectors, how.candidates))
    return sources


def _stamp(vectors: str | None) -> list[int]:
    """Size and time of the file of word vectors: it is too large to read for its identity."""
    if vectors is None or not Path(os.path.expanduser(vectors)).exists():
        return []
    found = Path(os.path.expanduser(vectors)).stat()
    return [found.st_size, found.st_mtime_ns]
