"""A guess of what a table of the user's is, and what its columns hold, over all of its splits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raykd.data.table import Table
from raykd.data.values import UNLABELLED, is_missing, number, spelled, truth
from raykd.errors import DataError

Splits = Mapping[str, Table]
"""The tables of the splits, train first."""

TRAIN = "train"
TEXT = "text"
"""The kind of a task of prompts and responses, in a description of a user's task."""
MOST_CLASSES = 200
PAIRS = (("sentence1", "sentence2"), ("premise", "hypothesis"), ("question", "passage"),
         ("question1", "question2"), ("text1", "text2"), ("text_a", "text_b"),
         ("query", "document"), ("title", "body"), ("title", "text"))  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskGuess:
    """What a table seems to be.

    Attributes:
        kind: A kind of the user's own tasks.
        keys: Keys of its description that name columns, labels and the like.
        why: What was guessed, in words, each with what it rests on.
        outputs: What a teacher said elsewhere, as ``teacher.outputs`` names it; mostly empty.
    """

    kind: str
    keys: Mapping[str, Any]
    why: Sequence[str]
    outputs: Mapping[str, Any] = field(default_factory=dict)


def has_values(table: Table, name: str) -> bool:
    """Whether a split has labels: a column with a value that is not that of public test splits."""
    values = table.columns.get(name, ())
    return any(not is_missing(value) and number(value) != UNLABELLED for value in values)


def labelled_splits(splits: Splits, name: str) -> Splits:
    """Train, and the other splits that have values of a column."""
    return {k: table for k, table in splits.items() if k == TRAIN or has_values(table, name)}


def first_seen(by_split: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Which names of classes occur in other splits than train alone, in words.

    Args:
        by_split: Names of the classes of each split, train first.
    """
    seen = set(by_split[TRAIN])
    for split, names in by_split.items():
        if new := [name for name in names if name not in seen]:
            yield f"{', '.join(map(repr, new))} occur{'s' * (len(new) == 1)} in {split} only"
        seen.update(names)


def distinct(values: Sequence[Any]) -> list[Any]:
    """The different values, by what a file would hold; those missing are left out."""
    return list({spelled(value): value for value in values if not is_missing(value)}.values())


def class_names(values: Sequence[Any]) -> list[str]:
    """Names of the classes that a label column holds: numbers by size, False first, else by name.

    What is one value in some format (``1`` and ``1.0``) is one name.
    """
    if all(truth(value) is not None for value in values):
        return ["False", "True"]
    if all(number(value) is not None for value in values):
        ordered = sorted({number(value) or 0 for value in values})
        return [str(int(n)) if n == int(n) else str(n) for n in ordered]
    return sorted({spelled(value) for value in values})


def text_columns(table: Table, others: Sequence[str]) -> tuple[list[str], str]:
    """The text columns, and what that rests on.

    Args:
        table: Train rows.
        others: Columns that are something else.

    Raises:
        DataError: There is none.
    """
    sizes = {
        name: sum(map(len, values)) / max(len(values), 1)
        for name, values in table.columns.items()
        if name not in others and all(isinstance(value, str) for value in values)
    }
    by_name = {name.strip().lower(): name for name in sizes}
    for one, two in PAIRS:
        if one in by_name and two in by_name:
            both = [by_name[one], by_name[two]]
            return both, f"columns '{both[0]}' and '{both[1]}' are a pair of texts, by their names"
    if not sizes:
        raise DataError(
            f"{table.origin} has no column of texts (columns: {', '.join(table.columns)})",
            hint="texts must be text in every row",
        )
    longest = max(sizes, key=lambda name: sizes[name])
    others = [name or "a column without a name" for name in sizes if name != longest]
    ignored = f"; not read: {', '.join(others)}" if others else ""
    return [longest], f"column '{longest}' holds the longest texts{ignored}"


def as_list(value: Any) -> list[Any] | None:
    """A list of plain values, or the same as JSON; None for anything else."""
    items = unpacked(value)
    if not isinstance(items, list | tuple) or any(isinstance(i, list | dict) for i in items):
        return None
    return list(items)


def unpacked(value: Any) -> Any:
    """A value, or what it is the JSON of where that is a list or a mapping."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
