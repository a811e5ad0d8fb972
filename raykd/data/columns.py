"""Checks raw columns and turns them into `Rows`: texts are text, labels are labels."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from raykd.data.base import Array, Rows
from raykd.data.table import Table
from raykd.errors import DataError

log = logging.getLogger(__name__)

UNLABELLED = -1
"""The label id that public test splits carry."""


def texts(table: Table, name: str) -> tuple[str, ...]:
    """One text column.

    Raises:
        DataError: The column is missing or holds something else than text; names the first row.
    """
    values = table.column(name)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise DataError(
                f"{table.origin}: column '{name}' must hold text, "
                f"row {row} holds {_shown(value)} ({type(value).__name__})",
                hint="remove or repair that row",
            )
    return tuple(values)


def class_ids(table: Table, name: str, labels: tuple[str, ...]) -> Array:
    """A label column as class ids, int64; values may be ids or class names.

    Raises:
        DataError: A label is missing, unknown or out of range; names the first row.
    """
    known = {label: i for i, label in enumerate(labels)}
    spelled = {str(i): i for i in range(len(labels))} | known
    ids = np.empty(len(table), np.int64)
    for row, value in enumerate(table.column(name)):
        found = spelled.get(value) if isinstance(value, str) else _whole(value)
        if found is None or not 0 <= found < len(labels):
            raise _bad_label(table, name, row, value, labels)
        ids[row] = found
    return ids


def scores(table: Table, name: str, low: float, high: float) -> Array:
    """A label column as numbers, float32.

    Raises:
        DataError: A value is missing, no number, or outside ``[low, high]``; names the first row.
    """
    values = np.empty(len(table), np.float32)
    for row, value in enumerate(table.column(name)):
        try:
            number = math.nan if value is None else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not low <= number <= high:
            raise DataError(
                f"{table.origin}: column '{name}' must hold numbers from {low:g} to {high:g}, "
                f"row {row} holds {_shown(value)}",
                hint="unlabelled splits cannot be used; choose a labelled one",
            )
        values[row] = number
    return values


def checked(columns: Sequence[tuple[str, ...]], labels: Array, origin: str) -> Rows:
    """The rows, if there are any.

    Raises:
        DataError: There is no row.
    """
    if len(labels) == 0:
        raise DataError(f"{origin} has no rows", hint="choose another split or file")
    rows = Rows(texts=tuple(columns), labels=labels)
    empty = empty_texts(rows)
    if empty:
        log.warning("%s: %d of %d rows have an empty text", origin, empty, len(rows))
    return rows


def empty_texts(rows: Rows) -> int:
    """How many rows have at least one text without a visible character."""
    return sum(any(not text.strip() for text in row) for row in zip(*rows.texts, strict=True))


def _whole(value: Any) -> int | None:
    if isinstance(value, bool | int | np.integer):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _bad_label(table: Table, name: str, row: int, value: Any, labels: tuple[str, ...]) -> DataError:
    if value is None or value == UNLABELLED:
        return DataError(
            f"{table.origin}: row {row} has no label (column '{name}' holds {_shown(value)})",
            hint="unlabelled splits, such as the GLUE tests, cannot be used",
        )
    return DataError(
        f"{table.origin}: column '{name}' must hold 0 to {len(labels) - 1} "
        f"({', '.join(labels)}), row {row} holds {_shown(value)}",
        hint="is this the data of another task?",
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
