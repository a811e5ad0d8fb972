"""Checks raw columns and turns them into `Examples`: texts are text, labels are labels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from raykd.data.base import Array, Examples
from raykd.data.class_names import class_ids as class_ids
from raykd.data.notes import note
from raykd.data.table import Faults, Table
from raykd.data.values import is_missing, number, row_name, shown
from raykd.errors import DataError

_WITH_COMMA = re.compile(r"\s*[+-]?[0-9]*(?:,[0-9]+)+(?:\.[0-9]*)?\s*")
_MOST_SHOWN = 8
_REPAIR = "repair or remove them"
ROWS_ARE_WANTED = (
    "the file holds columns, not rows: write an object a row (pandas: orient='records')"
)
WITHOUT_COMMAS = "write a decimal point, and no commas between thousands"


def texts(table: Table, name: str, *, own: str = "") -> tuple[str, ...]:
    """One text column.

    Args:
        table: Raw columns.
        name: Of the column.
        own: The task of the user's file that names the column, for messages; empty for others.

    Raises:
        DataError: The column is missing or holds something else than text; says in how many rows,
            and the first one.
    """
    values = table.column(name, f"texts of task '{own}'" if own else "")
    faults = Faults(table.origin)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            _no_text(faults, table, row, name, value)
    faults.check()
    return tuple(values)


def optional_texts(table: Table, name: str) -> tuple[str, ...]:
    """One text column that may be missing or have rows without a text, which is then empty.

    Raises:
        DataError: See `texts`.
    """
    if name not in table.columns:
        return ("",) * len(table)
    values = ["" if is_missing(value) else value for value in table.column(name)]
    return texts(_with(table, name, values), name)


def text_lists(table: Table, name: str) -> tuple[tuple[str, ...], ...]:
    """One column of lists of text; what is missing is an empty list.

    Raises:
        DataError: The column is missing or holds something else; says in how many rows.
    """
    lists: list[tuple[str, ...]] = []
    faults = Faults(table.origin)
    for row, value in enumerate(table.column(name)):
        items = () if is_missing(value) else value
        if isinstance(items, list | tuple | np.ndarray) and all(isinstance(t, str) for t in items):
            lists.append(tuple(items))
        else:
            what = f"column '{name}' holds {shown(value)}, expected a list of texts"
            kind = f"rows have no list of texts in column '{name}'"
            faults.add(kind, table.place(row), what, _REPAIR)
    faults.check()
    return tuple(lists)


def spelled_out(table: Table, name: str) -> tuple[str, ...]:
    """One column of texts or numbers as texts; what is missing is empty.

    Whole numbers are written without a point, whatever type a file format gave them.

    Raises:
        DataError: The column is missing or holds something else; says in how many rows.
    """
    plain = [
        "" if is_missing(value) else value if number(value) is None else row_name(value)
        for value in table.column(name)
    ]
    return texts(_with(table, name, plain), name)


def scores(table: Table, name: str, low: float, high: float, *, own: str = "") -> Array:
    """A label column as numbers, float32.

    Args:
        table: Raw columns.
        name: Of the label column.
        low: Smallest score.
        high: Largest score.
        own: The task of the user's file that says so, for messages; empty for others.

    Raises:
        DataError: Values are missing, no numbers, or outside ``[low, high]``; says how many, and
            the first row.
    """
    if not low < high:
        raise DataError(
            f"scores of '{own or name}' go from {low:g} to {high:g}, which is no range",
            hint="set span to the smallest and the largest score, in this order",
        )
    raw = table.column(name, f"label of task '{own}'" if own else "")
    parsed = [number(value) for value in raw]
    values = np.asarray([math.nan if x is None else float(x) for x in parsed])
    values[np.isinf(values)] = math.nan  # 1e999 is written as a number, and is none
    faults = Faults(table.origin)
    numbers = values[~np.isnan(values)]
    for row, value in enumerate(values):
        if low <= value <= high:
            continue
        place, holds = table.place(row), f"column '{name}' holds {shown(raw[row])}"
        expected = f"expected a number from {low:g} to {high:g}"
        if is_missing(raw[row]):
            hint = "score or remove them; unlabelled splits cannot be used"
            faults.add(
                "rows have no score", place, f"has no score (column '{name}' is empty)", hint
            )
        elif math.isnan(value):
            hint = _plain_number(raw[row])
            faults.add("rows have no number for a score", place, f"{holds}, {expected}", hint)
        else:
            hint = "is this the data of another task?"
            if own:
                there = f"[{numbers.min():g}, {numbers.max():g}]"
                hint = f"the column goes over {there}: set span of task '{own}' to what is possible"
            key = ".span" if own else ""
            faults.add("rows have a score out of range", place, f"{holds}, {expected}", hint, key)
    faults.check()
    if len(values) > 1 and (values == values[0]).all():
        note(
            f"{table.origin}: every row has the score {values[0]:g}: a correlation with it is "
            "undefined, and given as 0"
        )
    return values.astype(np.float32)


def checked(columns: Sequence[tuple[str, ...]], labels: Array, origin: str) -> Examples:
    """The rows, if there are any.

    Raises:
        DataError: There is no row.
    """
    if len(labels) == 0:
        raise DataError(f"{origin} has no rows", hint="choose another split or file")
    rows = Examples(texts=tuple(columns), labels=labels)
    empty = empty_texts(rows)
    if empty:
        note(f"{origin}: {empty:,} of {len(rows):,} rows have an empty text")
    return rows


def empty_texts(rows: Examples) -> int:
    """How many rows have at least one text without a visible character."""
    return sum(any(not text.strip() for text in row) for row in zip(*rows.texts, strict=True))


def _no_text(faults: Faults, table: Table, row: int, name: str, value: Any) -> None:
    hint = "repair or remove them"
    if number(value) is not None:
        hint = "write numbers that are texts as text (in JSON: in quotes)"
    elif isinstance(value, bytes):
        hint = "store the column as text, not as bytes"
    elif isinstance(value, Mapping | list) and table.holds_columns():
        hint = ROWS_ARE_WANTED
    elif isinstance(value, Mapping):
        fields = _listed([str(key) for key in value])
        hint = f"make the field that holds the text ({fields}) a column of its own"
    elif isinstance(value, list | tuple | np.ndarray):
        hint = "join the words to one text; labels of words are of kind: token_classification"
    faults.add(
        f"rows have no text in column '{name}'", table.place(row),
        f"column '{name}' holds {shown(value)}, expected a text", hint,
    )  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more


def _with(table: Table, name: str, values: Sequence[Any]) -> Table:
    return replace(table, columns={name: values}, twice=frozenset())


def _plain_number(value: Any) -> str:
    """What to do about a value that is no number."""
    if is_with_comma(value):
        return WITHOUT_COMMAS
    is_share = isinstance(value, str) and value.rstrip().endswith("%")
    return "write numbers without %" if is_share else _REPAIR


def is_with_comma(value: Any) -> bool:
    """Whether a value is a number with a comma, of decimals or between thousands."""
    return isinstance(value, str) and _WITH_COMMA.fullmatch(value) is not None
