"""Outputs of a teacher that ran elsewhere, as columns next to the rows or in a file of their own.

Axes: N row, C class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from raykd.data.base import Array, Examples
from raykd.data.batch import LABELLED
from raykd.data.folder_reader import READERS, suffix_of, user_path
from raykd.data.keys import at_key
from raykd.data.notes import note
from raykd.data.soft_labels import class_scores
from raykd.data.table import Faults, Table
from raykd.data.text_files import PACKED
from raykd.data.token_logprobs import token_logprobs
from raykd.data.values import is_missing, row_name, shown
from raykd.errors import DataError

if TYPE_CHECKING:
    from raykd.data.base import Task

KEY = "teacher.outputs"
WANTED = ("train", "unlabelled")
"""Splits that students learn from, of which every row must have outputs."""
SCORES, TEXTS, LOGPROBS, PLACES = (
    "teacher_scores", "teacher_texts", "teacher_logprobs", "teacher_places",
)  # fmt: skip
"""Fields of rows: logits as bytes of float32 ``[C]``; responses; log-probabilities of tokens; where
in a file that stands."""

_FEWEST = 20
"""Rows of which a share says something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherColumns:
    """Where the outputs of a teacher stand.

    Rows of a file belong to the rows of the data that have the same id, or else to those in the
    same place of the split (of the whole set, where splits are carved out of one).

    Attributes:
        scores: The column of a vector or mapping of classes, or a column per class; empty: none.
        form: What these are.
        texts: Column of responses; empty: none.
        logprobs: Column of log-probabilities of the tokens of the rows' responses; empty: none.
        path: The file of all splits, or that of each; None: the columns are next to the rows.
        id: Column that names a row, in the data and in the file; empty: they go by their places.
    """

    scores: tuple[str, ...] = ()
    form: Literal["probabilities", "logits"] = "probabilities"
    texts: str = ""
    logprobs: str = ""
    path: str | Mapping[str, str] | None = None
    id: str = ""

    def columns(self) -> tuple[tuple[str, str], ...]:
        """Every column, each with its key."""
        keyed: list[tuple[str, str]] = [(name, self.form) for name in self.scores]
        keyed += [(self.texts, "responses"), (self.logprobs, "logprobs")]
        return tuple((name, f"{KEY}.{key}") for name, key in keyed if name)

    def add_to(self, rows: Examples, table: Table, split: str, task: Task) -> Examples:
        """The rows with what the teacher said of them as fields.

        A split without teacher columns is left as it is, unless students train on it.

        Args:
            rows: As the task read them.
            table: The raw columns they were read from.
            split: Its name.
            task: Says which classes there are.

        Raises:
            DataError: Columns, files or rows are missing, or hold something else.
        """
        self._check_kind(task)
        columns = self._table(table, split)
        if columns is None:
            return rows
        fields = dict(rows.fields)
        if self.scores:
            with at_key(f"{KEY}.{self.form}"):
                scores = class_scores(columns, self.scores, self.form, task.task_kind, task.labels)
            fields[SCORES] = tuple(row.tobytes() for row in scores)
            if task.has_row_classes:
                _tell_disagreement(rows, scores, f"{columns.origin}: {', '.join(self.scores)}")
        if self.texts:
            with at_key(f"{KEY}.responses"):
                fields[TEXTS] = _responses(columns, self.texts)
        if self.logprobs:
            with at_key(f"{KEY}.logprobs"):
                fields[LOGPROBS] = token_logprobs(columns, self.logprobs)
        if self.texts or self.logprobs:
            fields[PLACES] = tuple(
                f"{columns.origin} {columns.place(k)}" for k in range(len(columns))
            )
        return replace(rows, fields=fields)

    def _check_kind(self, task: Task) -> None:
        """Refuse texts of tasks that are not answered in text.

        Raises:
            DataError: With the key that names them.
        """
        for name, key in ((self.texts, "responses"), (self.logprobs, "logprobs")):
            if name and not task.task_kind.generates:
                raise DataError(
                    f"a {task.kind} task ({task.name}) is not answered in text",
                    hint="name columns with teacher.outputs.probabilities or logits",
                ).at(f"{KEY}.{key}")

    def _table(self, table: Table, split: str) -> Table | None:
        """The raw columns, in the order of the rows; None for a split without them."""
        if self.path is None:
            there = [name for name, _ in self.columns() if name in table.columns]
            if split not in WANTED and not there:
                return None
            for name, key in self.columns():
                with at_key(key):
                    table.column(name, key)
            return table
        path = self.path if isinstance(self.path, str) else self.path.get(split)
        of_train = isinstance(self.path, str) and not self.id and not table.whole
        if split in WANTED and (path is None or (split != "train" and of_train)):
            raise DataError(
                f"no file holds the outputs of the {split} rows",
                hint="path: {train: a.jsonl, unlabelled: b.jsonl}; or one file of all, and id",
            ).at(f"{KEY}.path")
        if path is None or (split != "train" and of_train):
            return None
        with at_key(f"{KEY}.path"):
            columns = _read(path)
            for name, key in self.columns():
                with at_key(key):
                    columns.column(name, key)
            order = self._by_id(table, columns) if self.id else _by_place(table, columns)
            if split not in WANTED and (order < 0).any():
                return None
            _check_whole(table, columns, order)
        return columns.take(order.tolist())

    def _by_id(self, table: Table, columns: Table) -> Array:
        """The place in the file of every row, -1 where there is none.

        Raises:
            DataError: Rows of the data or of the file share an id, or have none.
        """
        with at_key(f"{KEY}.id"):
            places = {name: k for k, name in enumerate(_names(columns, self.id))}
            names = _names(table, self.id)
        return np.asarray([places.get(name, -1) for name in names], np.int64)


def scores_of(rows: Examples) -> Array | None:
    """The logits of every row, float32 ``[N, C]``; None where a teacher said nothing."""
    if SCORES not in rows.fields:
        return None
    flat = np.frombuffer(b"".join(rows.fields[SCORES]), np.float32)
    return flat.reshape(len(rows), -1)


def _read(path: str) -> Table:
    """The file of a teacher's outputs.

    Raises:
        DataError: It is not there, or of no kind that is read; or see the reader.
    """
    file = user_path(path)
    suffix = suffix_of(file).removesuffix(PACKED)
    if not suffix:
        ends = ", ".join(READERS)
        raise DataError(f"{path} is of no kind that is read", hint=f"files end with {ends}")
    if not file.is_file():
        raise DataError(f"there is no file '{path}'", hint="name the file of the teacher's outputs")
    return READERS[suffix](file).well_formed()


def _by_place(table: Table, columns: Table) -> Array:
    """The place in the file of every row; the file must be as long as the rows are.

    Raises:
        DataError: It is not, or the rows are of several sources.
    """
    hint = "give every row an id, here and in the file, and name the column with teacher.outputs.id"
    if table.whole < 0:
        raise DataError(
            f"rows of several sources have no common order, so that those of {columns.origin} "
            "cannot go by their places",
            hint=hint,
        )
    count = table.whole or len(table)
    if len(columns) != count:
        raise DataError(
            f"{columns.origin} has {len(columns):,} rows and {table.origin} {count:,}, which go by "
            "their places",
            hint=f"write one for one, or {hint}",
        )
    places: Sequence[int] = table.positions or range(len(table))
    return np.asarray(places, np.int64)


def _names(table: Table, column: str) -> list[str]:
    """What rows are called, each by a name of its own.

    Raises:
        DataError: Rows have no name, or that of another row.
    """
    first_rows: dict[str, int] = {}
    faults = Faults(table.origin)
    for row, value in enumerate(table.column(column, f"{KEY}.id")):
        place, name = table.place(row), row_name(value)
        if is_missing(value):
            faults.add("rows have no id", place, f"column '{column}' is empty", "name every row")
        elif name in first_rows:
            what = f"is the second row '{name}', after {table.place(first_rows[name])}"
            faults.add("rows have the id of another", place, what, "keep one of them")
        first_rows[name] = row
    faults.check()
    return [*first_rows]


def _tell_disagreement(rows: Examples, scores: Array, named: str) -> None:
    """Say so where the likeliest class is the label far more seldom than by chance."""
    has_label = np.asarray(rows.fields.get(LABELLED, np.ones(len(rows))), bool)
    right = scores.argmax(axis=1)[has_label] == np.asarray(rows.labels)[has_label]
    if len(right) >= _FEWEST and right.mean() < 0.5 / scores.shape[1]:
        note(
            f"{named}: the likeliest class is the label in {right.sum():,} of {len(right):,} rows, "
            "far fewer than by chance: are the numbers in the order of labels?"
        )


def _check_whole(table: Table, columns: Table, order: Array) -> None:
    """Refuse rows of which the file says nothing."""
    faults = Faults(table.origin)
    for row in np.flatnonzero(order < 0).tolist():
        what = f"{columns.origin} has no row of it"
        faults.add("rows have no output of the teacher", table.place(row), what, "add them")
    faults.check()


def _responses(table: Table, column: str) -> tuple[str, ...]:
    """The responses of a column."""
    faults = Faults(table.origin)
    responses = []
    for row, value in enumerate(table.column(column, f"{KEY}.responses")):
        if not isinstance(value, str) or not value.strip():
            what = f"column '{column}' holds {shown(value)}, expected a text"
            faults.add("rows have no response of the teacher", table.place(row), what, "add them")
        responses.append(value if isinstance(value, str) else "")
    faults.check()
    return tuple(responses)
