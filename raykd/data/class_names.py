"""Which class a value of a label column is: one rule for every file format.

A value that equals the name of a class, whatever its type, is that class. Values are ids (0 for the
first name) only where no value of the column is a name and the names leave no doubt: a name that is
a number excludes ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from raykd.data.base import Array
from raykd.data.notes import note
from raykd.data.table import Faults, Table
from raykd.data.values import (
    NOTHING,
    UNLABELLED,
    bare,
    is_missing,
    meaning,
    number,
    shown,
    spelled,
    truth,
    whole,
)

_MOST_SHOWN = 8
_WORDS = {
    "no": False, "n": False, "off": False, "f": False, "yes": True, "y": True, "on": True,
    "t": True,
}  # fmt: skip
"""Names of classes that truth values mean."""


def class_ids(table: Table, name: str, labels: Sequence[str], *, own: str = "") -> Array:
    """A label column as class ids, int64.

    Args:
        table: Raw columns.
        name: Of the label column.
        labels: Names of the classes in the order of their ids.
        own: The task of the user's file that these are written in, for messages; empty for tasks
            whose names are fixed.

    Raises:
        DataError: Labels are missing or unknown, or names and ids are mixed; says how many, which
            values, and the first row.
    """
    values = _named_by_the_data(table, name, own, labels)
    names = ClassNames(labels)
    ids_of_values = [names.named(value) for value in values]
    if names.may_be_ids and all(id_ is None for id_ in ids_of_values):
        ids_of_values = [names.numbered(value) for value in values]
        _tell_truth_values(table, name, values, labels)
    wrong = [row for row, id_ in enumerate(ids_of_values) if id_ is None]
    if wrong:
        _refuse(table, name, values, wrong, names, own)
    ids = np.asarray(ids_of_values, np.int64)
    _tell_absent(table, ids, labels)
    return ids


class ClassNames:
    """The names of classes, and what values they are equal to.

    Args:
        labels: Names in the order of their ids.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._spelled = {label: k for k, label in reversed([*enumerate(labels)])}
        counts = Counter(meaning(label) for label in labels)
        self._meant = {meaning(label): k for k, label in enumerate(labels)}
        self._doubtful = {what for what, count in counts.items() if count > 1}
        truths = [truth(label) for label in labels]
        self.has_numbers = any(number(label) is not None for label in labels)
        # 0 and 1 are False and True: where these are names, ids must say the same.
        self.may_be_ids = not self.has_numbers and (
            set(truths) == {None} or truths == [False, True]
        )
        if set(truths) == {None}:
            self._meant |= self._truths()
        self._known: dict[tuple[type, Hashable], int | None] = {}

    def _truths(self) -> dict[Hashable, int]:
        """What False and True are where other names mean them: 0 and 1, or no and yes."""
        numbers = [self._meant.get(("number", Decimal(k))) for k in range(2)]
        words = [_WORDS.get(label.lower()) for label in self.labels]
        if words in ([False, True], [True, False]):
            return {("truth", is_true): words.index(is_true) for is_true in (False, True)}
        truths = {("truth", bool(k)): id_ for k, id_ in enumerate(numbers) if id_ is not None}
        return {what: id_ for what, id_ in truths.items() if not self._doubtful}

    def named(self, value: Any) -> int | None:
        """The class whose name a value is: the one spelled so, or else the one that means it."""
        if isinstance(value, list | tuple | dict | np.ndarray):
            return None
        if is_missing(value) and not isinstance(value, str):
            return None  # its spelling, None or nan, may be the name of a class
        key = (type(value), value)
        if key not in self._known:
            what = meaning(value)
            meant = None if what in self._doubtful else self._meant.get(what)
            self._known[key] = self._spelled.get(spelled(value), meant)
        return self._known[key]

    def numbered(self, value: Any) -> int | None:
        """The class whose id a value is; of two classes False is the first one."""
        is_true = truth(value)
        if is_true is not None:
            return int(is_true) if len(self.labels) == 2 else None
        id_ = whole(value)
        return id_ if id_ is not None and 0 <= id_ < len(self.labels) else None

    def is_doubtful(self, value: Any) -> bool:
        """Whether a value means several names at once."""
        return meaning(value) in self._doubtful


def _named_by_the_data(table: Table, name: str, own: str, labels: Sequence[str]) -> Sequence[Any]:
    """The values of the column; ids of classes that the data itself names become those names."""
    values = table.column(name, f"label of task '{own}'" if own else "")
    names_in_data = table.class_names.get(name)
    if not names_in_data or names_in_data == tuple(str(k) for k in range(len(names_in_data))):
        return values
    names = ClassNames(labels)
    numbers = [names.named(label) for label in names_in_data]
    if None in numbers:
        same = [
            f"{given} is '{label}'" for given, label in zip(names_in_data, labels, strict=False)
        ]
        note(
            f"{table.origin} calls the classes of column '{name}' by other names "
            f"({_listed(names_in_data)}); they go by their order: {_listed(same)}"
        )
        return values
    ids = [whole(value) for value in values]
    return [
        names_in_data[k] if k is not None and 0 <= k < len(names_in_data) else value
        for k, value in zip(ids, values, strict=True)
    ]


def _tell_truth_values(
    table: Table, name: str, values: Sequence[Any], labels: Sequence[str]
) -> None:
    if len(labels) == 2 and any(truth(value) is not None for value in values):
        note(
            f"{table.origin}: column '{name}' holds True and False: False is taken as "
            f"'{labels[0]}', True as '{labels[1]}'"
        )


def _tell_absent(table: Table, ids: Array, labels: Sequence[str]) -> None:
    absent = [label for k, label in enumerate(labels) if not (ids == k).any()]
    if absent and len(ids):
        note(
            f"{table.origin}: {len(absent)} of {len(labels)} classes have no row: {_listed(absent)}"
        )


def _refuse(
    table: Table,
    name: str,
    values: Sequence[Any],
    wrong: Sequence[int],
    names: ClassNames,
    own: str,
) -> None:
    faults = Faults(table.origin)
    expected = f"expected one of {_listed(names.labels)}"
    if names.may_be_ids and len(wrong) == len(values):
        expected += f", or 0 to {len(names.labels) - 1} in this order"
    unknown = [row for row in wrong if not _is_nothing(values[row])]
    others = Counter(shown(values[row]) for row in unknown)
    counts = [f"{value} ({count:,})" for value, count in others.most_common()]
    every = f" (values: {_listed(counts)})" if len(others) > 1 else ""
    for row in wrong:
        value, place = values[row], table.place(row)
        if _is_nothing(value):
            holds = "is empty" if is_missing(value) else f"holds {shown(value)}"
            hint = (
                "label or remove them (unlabelled train rows: data.unlabelled); unlabelled splits, "
                "such as the GLUE tests, cannot be used"
            )
            faults.add("rows have no label", place, f"has no label (column '{name}' {holds})", hint)
        else:
            what = f"column '{name}' holds {shown(value)}, {expected}{every}"
            kind = f"values of column '{name}' are not a class"
            step = _next_step(value, [*others], names, own)
            faults.add(kind, place, what, step, ".labels" if own else "")
    faults.check()


def _is_nothing(value: Any) -> bool:
    if is_missing(value):
        return True
    return number(value) == UNLABELLED or (
        isinstance(value, str) and value.strip().lower() in NOTHING
    )


def _next_step(value: Any, others: Sequence[str], names: ClassNames, own: str) -> str:
    """What to do about a value that is no class."""
    if isinstance(value, list | tuple | dict | np.ndarray):
        return (
            "a row has one label; several labels a row are of kind: multi_label, labels of words "
            "of kind: token_classification"
        )
    if isinstance(value, bytes):
        return "store the column as text, not as bytes"
    where = f"labels of task '{own}'" if own else "the labels"
    if names.is_doubtful(value):
        return f"more than one name in {where} means that value"
    near = [label for label in names.labels if bare(label) == bare(spelled(value))]
    if near and near[0].strip().casefold() == spelled(value).strip().casefold():
        return f"it differs from '{near[0]}' in case or blanks only; write it as in {where}"
    if near:
        return (
            f"it looks like '{near[0]}' and is written with other or invisible characters "
            f"({ascii(spelled(value))[1:-1]}, not {ascii(near[0])[1:-1]}); write it as in {where}"
        )
    id_ = whole(value)
    if id_ is not None and not names.has_numbers and not 0 <= id_ < len(names.labels):
        return (
            f"ids count from 0 in the order of {where}; where the column has other numbers, these "
            "are the names of the classes, in quotes"
        )
    if id_ is not None and 0 <= id_ < len(names.labels):
        if names.has_numbers:
            return f"names that are numbers are not ids: add {_listed(others)} to {where}"
        if not names.may_be_ids:
            return f"0 and 1 are False and True, and {where} say it the other way round"
        return "a column holds names or ids, not both"
    return f"add {_listed(others)} to {where}" if own else "is this the data of another task?"


def _listed(values: Sequence[str]) -> str:
    more = f", ... ({len(values):,} in all)" if len(values) > _MOST_SHOWN else ""
    return ", ".join(values[:_MOST_SHOWN]) + more
