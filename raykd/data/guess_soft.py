"""Finds probabilities of classes among the columns of a table: what a teacher said elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raykd.data.guesses import unpacked
from raykd.data.kinds.classification import KIND as CLASSIFICATION
from raykd.data.soft_labels import TOLERANCE, class_scores
from raykd.data.table import Table
from raykd.data.values import is_missing, number, spelled
from raykd.errors import DataError

_LEAST_AGREEING = 0.5


def soft_columns(table: Table, others: Sequence[str] = ()) -> list[str]:
    """Columns that are probabilities: one of lists or mappings, or several of numbers.

    Args:
        table: Train rows.
        others: Columns that are something else, by their names.
    """
    names = [name for name in table.columns if name.strip().lower() not in others]
    for name in names:
        values = [unpacked(value) for value in table.columns[name] if not is_missing(value)]
        if values and all(_adds_up(_numbers(value)) for value in values):
            return [name]
    shares = [name for name in names if _are_shares(table.columns[name])]
    rows = zip(*(table.columns[name] for name in shares), strict=True)
    if len(shares) > 1 and all(_adds_up([float(number(v) or 0) for v in row]) for row in rows):
        return shares
    return []


def soft_labels(
    table: Table, columns: Sequence[str], label: str, labels: Sequence[str]
) -> tuple[Mapping[str, Any], str]:
    """What ``teacher.outputs`` says of them, and why; both empty where they do not fit the classes.

    Args:
        table: Train rows.
        columns: As `soft_columns` gives them.
        label: The column of the right class.
        labels: Names of the classes.
    """
    ordered = list(columns)
    if len(columns) > 1:
        by_class = {k: [c for c in columns if _ends_with(c, k)] for k in labels}
        if any(len(of) != 1 for of in by_class.values()):
            return {}, ""
        ordered = [of[0] for of in by_class.values()]
    try:
        kind = CLASSIFICATION
        scores = class_scores(table, ordered, "probabilities", kind, labels)
    except DataError:
        return {}, ""
    wanted = np.asarray([spelled(value) for value in table.column(label)])
    share = float((np.asarray(labels)[scores.argmax(axis=1)] == wanted).mean())
    named = ordered if len(ordered) > 1 else ordered[0]
    words = f"{' and '.join(ordered)} hold" if len(ordered) > 1 else f"'{ordered[0]}' holds"
    check = "" if share >= _LEAST_AGREEING else ": CHECK the order of the classes"
    why = (
        f"column{'s' * (len(ordered) > 1)} {words} probabilities of a teacher; the largest one is "
        f"that of the label in {share:.0%} of the rows{check}"
    )
    return {"probabilities": named}, why


def _numbers(value: Any) -> list[float]:
    """The numbers in a list, in a mapping or in a list of ``{label, score}``; none for others."""
    items: Sequence[Any] = ()
    if isinstance(value, Mapping):
        items = list(value.values())
    elif isinstance(value, list | tuple):
        items = [one.get("score") if isinstance(one, Mapping) else one for one in value]
    numbers = [number(item) for item in items]
    return [] if None in numbers else [float(n) for n in numbers if n is not None]


def _adds_up(numbers: Sequence[float]) -> bool:
    inside = len(numbers) > 1 and all(0 <= value <= 1 for value in numbers)
    return inside and abs(sum(numbers) - 1) <= TOLERANCE


def _are_shares(values: Sequence[Any]) -> bool:
    """Whether a column holds numbers from 0 to 1, not only the two."""
    numbers = [number(value) for value in values]
    if None in numbers:
        return False
    inside = [n for n in numbers if n is not None and 0 <= n <= 1]
    return len(inside) == len(numbers) and any(n not in (0, 1) for n in inside)


def _ends_with(column: str, name: str) -> bool:
    own, end = column.strip().lower(), name.strip().lower()
    return own == end or (own.endswith(end) and not own[: -len(end)][-1].isalnum())
