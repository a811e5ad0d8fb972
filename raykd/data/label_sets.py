"""Rows with any number of classes: reading them, and their metrics.

Axes: N row, C class.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raykd.data.base import Array
from raykd.data.class_names import ClassNames
from raykd.data.metrics import f1
from raykd.data.notes import note
from raykd.data.table import Faults, Table
from raykd.data.values import is_missing, meaning, number, shown, truth
from raykd.errors import DataError

_SEPARATORS = re.compile(r"\s*[|;,]\s*")
_MOST_SHOWN = 8
_FLAGS = "a 0 or 1 for each class, in the order of labels"


def label_sets(table: Table, name: str, labels: Sequence[str], *, own: str) -> Array:
    """A column of sets of classes, float32 ``[N, C]``, 1 for the classes of a row.

    A set is a list, the same as JSON, or names with ``|``, ``;`` or ``,`` between them; what is
    missing is an empty set. Values are names as in `raykd.data.class_names`, or ids where no value
    of the column is a name. Where every list has a 0 or 1 for each class, that is what they are. Of
    two classes such a list may be names or ids as well: it is names where every value is one, ids
    where no list holds a number twice and there are no truth values, and a note says which.

    Args:
        table: Raw columns.
        name: Of the column.
        labels: Names of the classes in the order of their ids.
        own: The task of the user's file that says so, for messages.

    Raises:
        DataError: Rows hold no sets, or unknown classes; says how many, and the first one.
    """
    names = ClassNames(labels)
    rows = [_items(value, names) for value in table.column(name, f"label of task '{own}'")]
    every = [item for row in rows if row is not None for item in row]
    by_id = names.may_be_ids and all(names.named(item) is None for item in every)
    if (flags := _flags(rows, len(labels))) is not None:
        what = _if_of_two(rows, names, by_id=by_id) if len(labels) == 2 else ""
        note(f"{table.origin}: column '{name}' holds {what or _FLAGS}")
        if not what:
            return _reported(flags, table, labels)
    label_matrix = np.zeros((len(rows), len(labels)), np.float32)
    faults = Faults(table.origin)
    for row, items in enumerate(rows):
        place = table.place(row)
        if items is None:
            what = f"column '{name}' holds {shown(table.columns[name][row])}, expected a list"
            kind = f"rows have no list of classes in column '{name}'"
            faults.add(kind, place, what, 'write lists like ["a", "b"], or a;b')
            continue
        if len(items) > len({meaning(item) for item in items}) and _are_flags(items):
            what = f"column '{name}' holds {shown(table.columns[name][row])}"
            hint = (
                "name each class once"
                if len(items) == len(labels)
                else f"a list of 0 and 1 needs one of them for each of the {len(labels)} classes"
            )
            faults.add("rows hold a class more than once", place, what, hint)
            continue
        for item in items:
            id_ = names.numbered(item) if by_id else names.named(item)
            if id_ is None:
                known = ", ".join(labels[:_MOST_SHOWN]) + (
                    ", ..." if len(labels) > _MOST_SHOWN else ""
                )
                what = f"column '{name}' holds the class {shown(item)}, expected some of {known}"
                hint = f"add {shown(item)} to labels of task '{own}'"
                faults.add("rows have an unknown class", place, what, hint, ".labels")
            else:
                label_matrix[row, id_] = 1
    faults.check()
    return _reported(label_matrix, table, labels)


def _reported(label_matrix: Array, table: Table, labels: Sequence[str]) -> Array:
    """The sets; a note names classes that no row has."""
    absent = [label for k, label in enumerate(labels) if not label_matrix[:, k].any()]
    if absent and len(label_matrix):
        note(f"{table.origin}: {len(absent)} of {len(labels)} classes have no row")
    return label_matrix


def _flags(rows: Sequence[list[Any] | None], classes: int) -> Array | None:
    """Sets from lists of a 0 or 1 for each class; None where these are no such lists."""
    if classes < 2 or not rows or any(row is None or len(row) != classes for row in rows):
        return None
    if not all(_are_flags(row) for row in rows if row is not None):
        return None
    return np.asarray([[_flag(item) for item in row or ()] for row in rows], np.float32)


def _if_of_two(rows: Sequence[list[Any] | None], names: ClassNames, *, by_id: bool) -> str:
    """What lists of a 0 or 1 for each of two classes are where they are no such flags, in words."""
    lists = [row or [] for row in rows]
    every = [item for row in lists for item in row]
    if all(names.named(item) is not None for item in every):
        return "names of classes: 0 and 1, or True and False, are names of this task"
    is_plain = by_id and all(truth(item) is None for item in every)
    if is_plain and all(len({meaning(item) for item in row}) == len(row) for row in lists):
        return (
            "ids of classes: every row has both; lists of a 0 or 1 for each class are known by one "
            "that holds the same number twice, so write names if that is meant"
        )
    return ""


def _are_flags(items: Sequence[Any]) -> bool:
    return all(_flag(item) in (0, 1) for item in items)


def _flag(item: Any) -> float | None:
    """The number that a value is, truth values included."""
    parsed = number(item)
    is_true = truth(item)
    return is_true if parsed is None else float(parsed)


def _items(value: Any, names: ClassNames) -> list[Any] | None:
    """The members of a set, None where it is none."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, list | tuple | np.ndarray):
        return None if any(isinstance(item, list | dict) for item in value) else list(value)
    if is_missing(value):
        return []
    if isinstance(value, dict):
        return None
    if not isinstance(value, str) or names.named(value) is not None:
        return [value]
    return [part for part in _SEPARATORS.split(value.strip()) if part]


def check_sets(labels: Array, classes: int) -> None:
    """Refuse labels that are not sets of classes.

    Raises:
        DataError: They are not 0 or 1 for every class.
    """
    if labels.shape[1:] != (classes,) or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"labels of shape {labels.shape} are not sets of {classes} classes",
            hint="the task must give 0 or 1 for every class of a row",
        )


def score_sets(names: Sequence[str], logits: Array, labels: Array) -> Mapping[str, float]:
    """Metrics of logits ``[N, C]`` against sets ``[N, C]``; NaN if any logit is not finite.

    ``f1_micro`` counts every class of every row, ``f1_macro`` is the mean over the classes that are
    predicted or present, ``accuracy`` the share of rows whose set is right. A class is predicted
    where its probability is above one half.
    """
    check_sets(labels, logits.shape[1])
    if not np.isfinite(logits).all():
        return dict.fromkeys(names, float("nan"))
    predicted = logits > 0
    wanted = labels > 0
    there = np.flatnonzero((predicted | wanted).any(axis=0))
    scores = {
        "f1_micro": f1(predicted.ravel(), wanted.ravel()),
        "f1_macro": float(np.mean([f1(predicted[:, k], wanted[:, k]) for k in there] or [0.0])),
        "accuracy": float((predicted == wanted).all(axis=1).mean()),
    }
    return {name: scores[name] for name in names}
