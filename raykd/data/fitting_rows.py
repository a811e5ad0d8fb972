"""Leaves out rows that are too long for a model, where the task says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raykd.data.base import Examples, Task
from raykd.data.notes import note
from raykd.errors import DataError


def fitting_rows(
    task: Task, rows: Mapping[str, Examples], tokenizers: Sequence[Any], max_length: int
) -> dict[str, Examples]:
    """The rows without those that the task leaves out because they are too long for a model.

    Roles that share rows still do.

    Args:
        task: Says which rows are too long.
        rows: Rows by role.
        tokenizers: Those of all models; a row must fit every one.
        max_length: Most tokens of a row.

    Raises:
        DataError: A role would have no rows.
    """
    distinct = {id(tokenizer): tokenizer for tokenizer in tokenizers}.values()
    kept: dict[int, Examples] = {}
    for role, part in rows.items():
        if id(part) in kept:
            continue
        masks = [task.left_out(part, tokenizer, max_length) for tokenizer in distinct]
        is_out = np.any([mask for mask in masks if mask is not None], axis=0)
        if not np.any(is_out):
            kept[id(part)] = part
            continue
        if np.all(is_out):
            raise DataError(
                f"every one of the {len(part):,} {role} rows of {task.name} is too long",
                hint="raise data.max_length, or cut rows in place of leaving them out",
            ).at(".too_long")
        kept[id(part)] = part.take(np.flatnonzero(~is_out))
        note(
            f"{int(is_out.sum()):,} of {len(part):,} {role} rows are left out: they are longer "
            f"than data.max_length ({max_length}) allows"
        )
    return {role: kept[id(part)] for role, part in rows.items()}
