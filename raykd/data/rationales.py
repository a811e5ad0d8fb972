"""Rationales from a file or in prompts, and labels from a language model.

Each function turns rows into rows. What it works on are the fields that `rows_of` makes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from raykd.data.base import Examples
from raykd.data.json_files import read_objects
from raykd.data.table import Faults, whole_characters
from raykd.data.values import row_name, shown
from raykd.errors import DataError

_LINE = 'write lines like {"id": "17", "rationale": "..."}'


def from_file(path: Path, split: str) -> Mapping[str, str]:
    """Rationales of a split by row.

    Every line of the file is an object with ``id``, ``rationale`` and, for rows of other splits
    than train, ``split``. An id is what the data calls the row, or its number from 0.

    Raises:
        DataError: The file cannot be read, lines are none of these, or rows occur twice; says how
            many, and the first one.
    """
    rationales: dict[str, str] = {}
    faults = Faults(str(path))
    for number, entry in read_objects(path):
        place, row, text = f"line {number}", entry.get("id"), entry.get("rationale")
        missing = [key for key in ("id", "rationale") if entry.get(key) is None]
        if missing:
            what = f"has no {' and no '.join(missing)}"
            faults.add("lines are not a rationale of a row", place, what, _LINE)
        elif not isinstance(text, str):
            what = f"the rationale is {shown(text)}, expected a text"
            faults.add("lines have no rationale in words", place, what, _LINE)
        elif entry.get("split", "train") == split:
            name = row_name(row)
            if name in rationales:
                what = f"is the second rationale of row '{name}' of {split}"
                faults.add("lines are of a row that has one", place, what, "keep one of them")
            rationales[name] = whole_characters(text.strip())
    faults.check()
    return rationales


def with_rationales(rows: Examples, by_row: Mapping[str, str], origin: str) -> Examples:
    """The rows with rationales of a file in place of their own; rows it does not name have none.

    Raises:
        DataError: It names none of the rows, or one that several rows share.
    """
    ids = _field(rows, "ids", origin)
    shared = [row for row, count in Counter(ids).items() if count > 1 and row in by_row]
    if shared:
        raise DataError(
            f"{origin} has a rationale of row '{shared[0]}', and {ids.count(shared[0])} rows have "
            f"that id ({len(shared):,} such ids)",
            hint="give every row an id of its own, or leave the column 'id' out",
        )
    if by_row and not set(by_row) & set(ids):
        raise DataError(
            f"{origin} has rationales of other rows: ids like '{next(iter(by_row))}', and the data "
            f"has ids like '{ids[0]}'",
            hint="a row's id is its column 'id', or its number in the split from 0",
        )
    rationales = tuple(by_row.get(row, "") for row in ids)
    return replace(rows, fields={**rows.fields, "rationales": rationales})


def rationales_as_input(rows: Examples, origin: str) -> Examples:
    """The rows with their rationale as the last line of the part of the prompt that may be cut."""
    rationales = _field(rows, "rationales", origin)
    prompts, cut = [], []
    for prompt, (first, last), rationale in zip(
        rows.texts[0], _field(rows, "cut", origin), rationales, strict=True
    ):
        line = f"\n{rationale}" if rationale else ""
        prompts.append(prompt[:last] + line + prompt[last:])
        cut.append((first, last + len(line)))
    return replace(
        rows,
        texts=(tuple(prompts), *rows.texts[1:]),
        fields={**rows.fields, "cut": tuple(cut)},
    )


def relabelled(rows: Examples, origin: str) -> Examples:
    """The rows with the labels that a model gave; those it gave none are left out and counted.

    Raises:
        DataError: It gave none at all.
    """
    llm_labels = _field(rows, "llm_label", origin)
    left = np.asarray([row for row, label in enumerate(llm_labels) if label.strip()], np.int64)
    if not len(left):
        raise DataError(
            f"no row of {origin} has a label of a model",
            hint="add a column llm_label (or llm_output), or set data.label_type: gt",
        )
    kept = rows.take(left)
    labels = tuple(label for label in llm_labels if label.strip())
    return replace(
        kept, texts=(kept.texts[0], labels, *kept.texts[2:]), left_out=len(rows) - len(left)
    )


def _field(rows: Examples, name: str, origin: str) -> tuple[Any, ...]:
    try:
        return rows.fields[name]
    except KeyError:
        raise DataError(
            f"{origin} is not a task that is answered in text, so its rows have no rationales",
            hint="leave data.rationales and data.label_type out",
        ) from None
