"""Where rationales come from, and where else they go: from a file, into prompts; a model's labels.

Each function turns rows into rows. What it works on are the fields that `rows_of` makes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from raykd.data.base import Rows
from raykd.errors import DataError


def from_file(path: Path, split: str) -> Mapping[str, str]:
    """Rationales of a split by row.

    Every line of the file is an object with ``id``, ``rationale`` and, for rows of other splits
    than train, ``split``. An id is what the data calls the row, or its number from 0.

    Raises:
        DataError: The file cannot be read, a line is none of these, or a row occurs twice.
    """
    found: dict[str, str] = {}
    hint = 'write lines like {"id": "17", "rationale": "..."}'
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"rationales of {path} cannot be read: {exc}", hint=hint) from exc
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            row, text = str(entry["id"]), entry["rationale"]
            own = entry.get("split", "train")
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise DataError(f"{path}:{number} is no rationale of a row", hint=hint) from exc
        if not isinstance(text, str):
            raise DataError(f"{path}:{number} has no rationale in words", hint=hint)
        if own != split:
            continue
        if row in found:
            raise DataError(
                f"{path}:{number} is the second rationale of row '{row}' of {split}",
                hint="keep one of them",
            )
        found[row] = text.strip()
    return found


def with_rationales(rows: Rows, by_row: Mapping[str, str], origin: str) -> Rows:
    """The rows with rationales of a file in place of their own; rows it does not name have none.

    Raises:
        DataError: It names none of the rows.
    """
    ids = _field(rows, "ids", origin)
    if by_row and not set(by_row) & set(ids):
        raise DataError(
            f"{origin} has rationales of other rows: ids like '{next(iter(by_row))}', and the data "
            f"has ids like '{ids[0]}'",
            hint="a row's id is its column 'id', or its number in the split from 0",
        )
    told = tuple(by_row.get(row, "") for row in ids)
    return replace(rows, fields={**rows.fields, "rationales": told})


def prompted(rows: Rows, origin: str) -> Rows:
    """The rows with their rationale as the last line of the part of the prompt that may be cut."""
    told = _field(rows, "rationales", origin)
    prompts, cut = [], []
    for prompt, (first, last), rationale in zip(
        rows.texts[0], _field(rows, "cut", origin), told, strict=True
    ):
        line = f"\n{rationale}" if rationale else ""
        prompts.append(prompt[:last] + line + prompt[last:])
        cut.append((first, last + len(line)))
    return replace(
        rows,
        texts=(tuple(prompts), *rows.texts[1:]),
        fields={**rows.fields, "cut": tuple(cut)},
    )


def relabelled(rows: Rows, origin: str) -> Rows:
    """The rows with the labels that a model gave; those it gave none are left out and counted.

    Raises:
        DataError: It gave none at all.
    """
    said = _field(rows, "said", origin)
    left = np.asarray([row for row, label in enumerate(said) if label.strip()], np.int64)
    if not len(left):
        raise DataError(
            f"no row of {origin} has a label of a model",
            hint="add a column llm_label (or llm_output), or set data.label_type: gt",
        )
    kept = rows.take(left)
    labels = tuple(label for label in said if label.strip())
    return replace(
        kept, texts=(kept.texts[0], labels, *kept.texts[2:]), left_out=len(rows) - len(left)
    )


def _field(rows: Rows, name: str, origin: str) -> tuple[Any, ...]:
    try:
        return rows.fields[name]
    except KeyError:
        raise DataError(
            f"{origin} is no task that is answered in text, so its rows have no rationales",
            hint="leave data.rationales and data.label_type out",
        ) from None
