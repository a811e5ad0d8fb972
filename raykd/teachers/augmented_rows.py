"""Adds augmented train rows, which are cached on disk for the next sweep."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from raykd.data.augment import Augmentation, WordSource, augment
from raykd.data.base import Examples, Task
from raykd.data.classification import TextTask
from raykd.data.hold_out import fingerprint
from raykd.data.vectors import WordVectors
from raykd.errors import Problem, SpecError
from raykd.models.mlm_augmentation import MLMWordSource
from raykd.teachers.cache_index import AUGMENTED, touch
from raykd.teachers.locks import CacheLocks

FORMAT = 1
"""Raised when the same settings give other rows than before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentSettings:
    """How rows are augmented.

    Attributes:
        model: Name or folder of the masked language model that replaces words, or None.
        vectors: File of the word vectors whose neighbours replace words, or None.
        copies: Copies of each text (of either text of a pair); equal ones are dropped.
        probability: With which an eligible word is replaced.
        candidates: How many words a replacement is drawn from.
        seed: Decides words and places.
    """

    model: str | None
    vectors: str | None
    copies: int
    probability: float
    candidates: int
    seed: int


def augmented(
    task: Task, rows: Examples, settings: AugmentSettings, folder: Path | None
) -> Examples:
    """The rows and those made of them, from disk when they were made before.

    Args:
        task: Must be a classification or regression of texts.
        rows: Train rows of students.
        settings: How rows are augmented.
        folder: The cache, None for none.

    Raises:
        SpecError: The task has no texts whose words can be replaced.
        DataError: The word vectors cannot be read.
        SetupError: The masked language model cannot be reached.
    """
    if not isinstance(task, TextTask):
        problem = Problem(
            path="data.augment",
            message=f"replaces words of texts; {task.name} has answers that depend on them",
            hint="leave it out: --set data.augment=null",
        )
        raise SpecError(problems=[problem])
    identity = [FORMAT, fingerprint({"train": rows}), asdict(settings), _stamp(settings.vectors)]
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]
    path = None if folder is None else folder / AUGMENTED / f"{name}.json"
    if path is not None and (kept := _read(path, rows)) is not None:
        return kept
    made = augment(
        rows,
        _sources(settings),
        Augmentation(copies=settings.copies, probability=settings.probability, seed=settings.seed),
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


def _sources(settings: AugmentSettings) -> list[WordSource]:
    sources: list[WordSource] = []
    if settings.model is not None:
        sources.append(MLMWordSource(settings.model, settings.candidates))
    if settings.vectors is not None:
        sources.append(WordVectors(settings.vectors, settings.candidates))
    return sources


def _stamp(vectors: str | None) -> list[int]:
    """Size and time of the file of word vectors: it is too large to read for its identity."""
    if vectors is None or not Path(os.path.expanduser(vectors)).exists():
        return []
    file = Path(os.path.expanduser(vectors)).stat()
    return [file.st_size, file.st_mtime_ns]
