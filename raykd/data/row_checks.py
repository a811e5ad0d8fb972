"""Checks that rows have what methods learn from: rationales, other prompts, answer choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from raykd.data.answer_choices import CHOICE_TOKENS
from raykd.data.base import NO_LABEL, Examples, TokenizedDataset
from raykd.data.table import Faults
from raykd.errors import DataError


def check_rationales(name: str, train: Examples) -> None:
    """Refuse methods on rationales where there are none.

    Raises:
        DataError: No row has one.
    """
    if not any(train.fields.get("rationales", ())):
        raise DataError(
            f"no row of {name} has a rationale, which a method of this file learns from",
            hint="add a column llm_rationale (or llm_output), or leave the method out",
        )


def check_views(name: str, splits: Mapping[str, TokenizedDataset]) -> None:
    """Refuse views whose responses are cut in other places than those of the plain rows.

    The teacher's outputs for the plain rows would belong to other tokens.

    Raises:
        DataError: Names the role.
    """
    for role, plain in splits.items():
        for view, encoded in plain.views.items():
            labels, plain_labels = (e.labels[e.labels != NO_LABEL] for e in (encoded, plain))
            if not np.array_equal(labels, plain_labels):
                raise DataError(
                    f"{name}: some responses of the {role} rows are cut in other places when their "
                    f"prompts begin with '{view}: '",
                    hint="raise data.max_length, so that responses are not cut",
                )


def check_ends(encoded: TokenizedDataset, places: Sequence[str], end: int, max_length: int) -> None:
    """Refuse responses that were cut.

    Args:
        encoded: Rows with token labels.
        places: Where each of them stands, in words.
        end: The token that ends a response.
        max_length: Most tokens of a row.

    Raises:
        DataError: Says how many, and the first one.
    """
    faults = Faults("")
    for labels, place in zip(encoded.label_rows(), places, strict=True):
        if not len(labels) or labels[-1] != end:
            what = f"its response does not fit {max_length} tokens next to the prompt"
            hint = "raise data.max_length, or shorten the responses"
            faults.add("rows have responses that are cut", place, what, hint)
    faults.check()


def check_choices(name: str, train: Examples, encoded: TokenizedDataset) -> None:
    """Refuse methods on answer choices where rows have none, or some that begin alike.

    Raises:
        DataError: Names the first such row.
    """
    hint = "set view: tokens for that method, or leave it out"
    if CHOICE_TOKENS not in encoded.columns:
        raise DataError(
            f"rows of {name} have no answer choices, which a method of this file compares",
            hint=hint,
        )
    for row, ids in enumerate(encoded.columns[CHOICE_TOKENS]):
        own = ids[ids != NO_LABEL]
        if len(np.unique(own)) < len(own):
            raise DataError(
                f"{name}: row {row} of train has answer choices that begin with the same token, "
                f"so that their scores are one: {', '.join(train.fields['choices'][row])}",
                hint=hint,
            )
