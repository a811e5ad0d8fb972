"""What is doubtful about a column that is guessed to be a label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from raykd.data.columns import WITHOUT_COMMAS, is_with_comma
from raykd.data.guesses import Splits, distinct, labelled_splits
from raykd.data.table import Table
from raykd.data.values import UNLABELLED, is_missing, number, shown, spelled
from raykd.errors import DataError

_SETS = re.compile(r"\s*[|;]\s*")


def refuse_no_header(table: Table, label: str) -> None:
    """Refuse a file of lines whose first line is a row: the name of the label is one of its values.

    Raises:
        DataError: It seems to be so.
    """
    names = ",".join(table.columns)
    if table.unit == "line" and label in map(spelled, table.column(label)):
        raise DataError(
            f"{table.origin} seems to have no line with the names of its columns: the first one is "
            f"{shown(names)}, and '{label}' is a value of the column, too",
            hint="put a line such as text,label first; or name the column: --label COLUMN",
        )


def refuse_commas(table: Table, label: str, values: Sequence[Any]) -> None:
    """Refuse labels that are numbers of which some are written with a comma.

    Raises:
        DataError: They are.
    """
    odd = [value for value in values if is_with_comma(value)]
    if odd and all(is_with_comma(value) or number(value) is not None for value in values):
        raise DataError(
            f"column '{label}' of {table.origin} holds numbers with a comma ({shown(odd[0])})",
            hint=f"{WITHOUT_COMMAS}; where these are several classes of a row, put ; between them",
        )


def missing(splits: Splits, label: str) -> Iterator[str]:
    """Where labels, scores or responses are missing, in words."""
    for split, table in labelled_splits(splits, label).items():
        if count := sum(map(is_missing, table.columns.get(label, ()))):
            yield (
                f"CHECK: {count:,} of {len(table):,} rows of {split} have no '{label}', which is "
                "refused: label or remove them, or move those of train to a file of their own "
                "(data.unlabelled)"
            )


def doubts(splits: Splits, label: str) -> Iterator[str]:
    """What a user should check of classes or scores, in words."""
    values = distinct(splits["train"].column(label))
    numbers = [number(value) for value in values]
    if UNLABELLED in numbers and len(values) > 2 and None not in numbers:
        yield "CHECK: -1 is taken for a label like the others; in some data it means no label"
    parts = [set(filter(None, _SETS.split(spelled(value)))) for value in values]
    several = next((k for k, of in enumerate(parts) if len(of) > 1 and _recur(of, parts, k)), None)
    if several is not None:
        yield (
            f"CHECK: {shown(values[several])} is taken for one class; where a row may have "
            "several, this is kind: multi_label, which takes them apart"
        )


def _recur(of: set[str], parts: Sequence[set[str]], own: int) -> bool:
    """Whether some part of a value is part of another one, too."""
    return any(of & others for k, others in enumerate(parts) if k != own)
