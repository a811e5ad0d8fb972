"""Soft labels: probabilities or logits of classes in columns, as the logits of a teacher.

Axes: N row, C class.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from raykd.data.base import Array
from raykd.data.class_names import ClassNames
from raykd.data.kinds.base import TaskKind
from raykd.data.table import Faults, Table
from raykd.data.values import number, shown
from raykd.errors import DataError

LEAST = 1e-7
"""The probability that 0 stands for: its logarithm must be a number."""
TOLERANCE = 0.01
"""How far from 1 the sum of rounded probabilities may be."""

_LARGEST = float(np.finfo(np.float32).max)
_MOST_SHOWN = 8
_NO_SHARES = "if they are scores before the sigmoid, name the column with teacher.outputs.logits"
_NO_DISTRIBUTION = (
    "divide them by their sum; if they are scores before the softmax, name the column with "
    "teacher.outputs.logits, and if each class is a yes or no, the task is of kind: multi_label"
)
_FORMS = "a list in the order of labels, or a mapping of class names"


def class_scores(
    table: Table,
    columns: Sequence[str],
    form: Literal["probabilities", "logits"],
    kind: TaskKind,
    labels: Sequence[str],
) -> Array:
    """Logits of every row, float32 ``[N, C]``.

    One column holds the numbers of all classes: a list in the order of `labels`, a mapping of names
    to numbers, a list of ``{label, score}``, or one of these as JSON. Several columns hold a class
    each. Probabilities become their logarithms, or log-odds where classes are each a yes or no; 0
    stands for `LEAST`.

    Args:
        table: Raw columns.
        columns: One, or as many as there are classes.
        form: What the numbers are.
        kind: Of the task; one whose labels belong to rows.
        labels: Names of the classes in the order of their ids; empty for regression.

    Raises:
        DataError: The task has no such outputs, or rows hold something else; says in how many of
            them, and the first one.
    """
    _check_kind(form, kind)
    if len(columns) > 1 and len(columns) != len(labels):
        raise DataError(
            f"{len(columns)} columns of {form} are named, and there are {len(labels)} classes",
            hint="name one column for each class, in the order of labels",
        )
    names, faults = ClassNames(labels), Faults(table.origin)
    values = [table.column(name) for name in columns]
    scores = np.zeros((len(table), len(labels) or 1), np.float64)
    for row, cells in enumerate(zip(*values, strict=True)):
        cell = cells[0] if len(columns) == 1 else list(cells)
        numbers, wrong = _numbers(cell, names)
        hint = f"expected {len(labels) or 1} numbers: {_FORMS}"
        if not wrong:
            hint = _NO_SHARES if kind.is_binary else _NO_DISTRIBUTION
            kind_of, wrong = _impossible(numbers, form, kind)
        else:
            kind_of = f"rows have no {form} of all classes"
        if wrong:
            where = f"column '{columns[0]}'" if len(columns) == 1 else f"columns {list(columns)}"
            faults.add(kind_of, table.place(row), f"{where}: {wrong}", hint)
        else:
            scores[row] = numbers
    faults.check()
    return _as_logits(scores, form, kind).astype(np.float32)


def _check_kind(form: str, kind: TaskKind) -> None:
    """Refuse what a task of a kind does not predict.

    Raises:
        DataError: With the key that does.
    """
    if kind.labels_of != "row":
        raise DataError(
            f"a {kind.name} task has no {form} of whole rows",
            hint="soft labels are for classification, multi_label and regression; of text, "
            "teacher.outputs takes responses or logprobs",
        )
    if not kind.has_class_names and form == "probabilities":
        raise DataError(
            f"a {kind.name} task has scores, not probabilities",
            hint="name the column of scores with teacher.outputs.logits",
        )


def _numbers(cell: Any, names: ClassNames) -> tuple[list[float], str]:
    """The number of every class in a cell, and what is wrong with it."""
    value = cell
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as exc:
            return [], f"holds {shown(cell)}, which is not JSON ({exc})"
    if isinstance(value, np.ndarray):
        value = value.tolist()
    count = len(names.labels) or 1
    if count == 1 and not isinstance(value, list | tuple | Mapping):
        value = [value]
    if isinstance(value, list | tuple) and value and all(isinstance(v, Mapping) for v in value):
        if wrong := _unlike_pairs(value):
            return [], wrong
        pairs = [(one["label"], one["score"]) for one in value]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list | tuple):
        if len(value) != count:
            return [], f"holds {len(value)} numbers, and there are {count} classes"
        pairs = list(enumerate(value))
    else:
        return [], f"holds {shown(cell)}"
    return _by_class(pairs, names, ordered=isinstance(value, list | tuple) and not _is_named(value))


def _is_named(value: Sequence[Any]) -> bool:
    return isinstance(value[0], Mapping)


def _unlike_pairs(value: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with a list of ``{label, score}``."""
    other = next((one for one in value if {"label", "score"} - one.keys()), None)
    return "" if other is None else f"holds {shown(other)} among {{label, score}}"


def _by_class(
    pairs: Sequence[tuple[Any, Any]], names: ClassNames, *, ordered: bool
) -> tuple[list[float], str]:
    """Numbers in the order of the classes."""
    by_class: dict[int, float] = {}
    for name, value in pairs:
        class_ = name if ordered else names.named(name)
        read = number(value)
        if class_ is None:
            return [], f"names the class {shown(name)}, expected {_listed(names.labels)}"
        if class_ in by_class:
            return [], f"names the class {shown(name)} twice"
        if read is None or abs(read) > _LARGEST:
            return [], f"holds {shown(value)}, expected a number"
        by_class[class_] = float(read)
    count = len(names.labels) or 1
    missing = [names.labels[k] for k in range(count) if k not in by_class]
    if missing:
        return [], f"has no number of {_listed(missing)}"
    return [by_class[k] for k in range(count)], ""


def _impossible(numbers: Sequence[float], form: str, kind: TaskKind) -> tuple[str, str]:
    """Why numbers cannot be what the file says: such rows, and this one."""
    if form == "logits":
        return "", ""
    outside = [value for value in numbers if not 0 <= value <= 1]
    if outside:
        return "rows have numbers outside of 0 to 1", f"holds {outside[0]:g}, not a probability"
    total = sum(numbers)
    if not kind.is_binary and abs(total - 1) > TOLERANCE:
        what = f"probabilities add up to {total:.4g}, expected 1"
        return "rows have probabilities that do not add up to 1", what
    return "", ""


def class_logits(probabilities: Sequence[Sequence[float]] | Array, kind: TaskKind) -> Array:
    """Probabilities of the classes of every row as logits, float32 ``[N, C]``."""
    return _as_logits(np.asarray(probabilities), "probabilities", kind).astype(np.float32)


def _as_logits(numbers: Array, form: str, kind: TaskKind) -> Array:
    if form == "logits":
        return numbers
    if kind.is_binary:
        inside = numbers.clip(LEAST, 1 - LEAST)
        return np.asarray(np.log(inside) - np.log1p(-inside))
    return np.asarray(np.log(numbers.clip(LEAST, None)))


def _listed(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more
