"""Reads train rows without a label from files of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from raykd.data.base import DataSettings, Examples, Task
from raykd.data.batch import LABELLED, ROW_WEIGHT
from raykd.data.file_lists import FilesReader, matching
from raykd.data.files import FileTask
from raykd.data.folder_reader import root_folder
from raykd.data.keys import at_key
from raykd.data.sample import limited
from raykd.errors import DataError

KEY = "data.unlabelled"
SPLIT = "unlabelled"
"""What these rows are called among the splits."""


def with_unlabelled(
    train: Examples, task: Task, settings: DataSettings, paths: Sequence[str]
) -> Examples:
    """The train rows and after them those of files without labels, at most ``settings.limit``.

    Args:
        train: Rows with labels.
        task: Says which columns are read.
        settings: Where relative paths may start, and what a teacher said next to the rows.
        paths: Files or patterns of files.

    Raises:
        DataError: There is no such file, its rows lack a text, or rows of the task need labels.
    """
    with at_key(KEY):
        if not isinstance(task, FileTask):
            raise DataError(
                f"rows of {task.name} ({task.kind}) cannot be without a label: it has no files",
                hint="data.unlabelled is for tasks on texts in columns; remove it",
            )
        roots = [Path()] if settings.root is None else [Path(), root_folder(settings.root)]
        files = [file for path in paths for file in matching(path, roots)]
        table = FilesReader(files={SPLIT: files}, name=", ".join(paths)).read(SPLIT).well_formed()
        more = task.read_unlabelled(table)
    if settings.teacher is not None:
        more = settings.teacher.add_to(more, table, SPLIT, task)
    more = limited(more, f"{task.name}/{SPLIT}", settings)
    return _joined(_with_label_column(train, 1.0), _with_label_column(more, 0.0))


def unlabelled_count(rows: Examples) -> int:
    """How many rows have no label."""
    return sum(1 for mark in rows.fields.get(LABELLED, ()) if not mark)


def labelled_examples(rows: Examples) -> Examples:
    """The rows that have a label."""
    marks = rows.fields.get(LABELLED)
    return rows if marks is None else rows.take(np.flatnonzero(marks))


def _with_label_column(rows: Examples, value: float) -> Examples:
    fields = {ROW_WEIGHT: (1.0,) * len(rows)} if value == 0 else {}
    return replace(rows, fields={**fields, **rows.fields, LABELLED: (value,) * len(rows)})


def _joined(rows: Examples, more: Examples) -> Examples:
    """Rows one after the other, with the fields of the first."""
    return Examples(
        texts=tuple((*a, *b) for a, b in zip(rows.texts, more.texts, strict=True)),
        labels=np.concatenate([rows.labels, more.labels]),
        fields={name: (*values, *more.fields[name]) for name, values in rows.fields.items()},
        left_out=rows.left_out,
    )
