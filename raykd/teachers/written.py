"""Responses and rationales that a teacher writes to the train rows, once for all students."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from raykd.data.base import Array, Encoded, TokenText
from raykd.data.prompts import with_rows
from raykd.models.writing import Writing, reread, write

EXPLAINED = "explained"
"""Names the random stream of rationales."""
WRITTEN = "written"
"""Role of the train rows with responses of the teacher."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explaining:
    """Rationales that are to be written.

    Attributes:
        prompts: The train rows as students are asked to explain them.
        asked: The same as the teacher is asked, which may be told more.
        max_new_tokens: Most tokens of a rationale.
    """

    prompts: Encoded
    asked: Encoded
    max_new_tokens: int


def written(
    model: nn.Module,
    rows: Encoded,
    tokens: TokenText,
    max_new_tokens: int,
    batch_size: int,
    progress: Callable[[int], None],
    asked: Encoded | None = None,
) -> Encoded:
    """The rows with responses that are drawn from the teacher at temperature 1.

    Draws come from the generator of the device: seed it before.

    Args:
        model: The teacher, on its device.
        rows: Prompts and responses; the responses are not read.
        tokens: Which tokens end a text and pad.
        max_new_tokens: Most tokens of a response.
        batch_size: Rows that are written at a time.
        progress: Called with the number of rows done.
        asked: The rows with other prompts, which the teacher goes on with in place of those that
            stand before its responses then.
    """
    writing = Writing(max_new_tokens=max_new_tokens, end=tokens.end, pad=tokens.pad, sample=True)
    prompts = [rows.prompt(row) for row in range(len(rows))]
    read = prompts if asked is None else [asked.prompt(row) for row in range(len(rows))]
    order = np.argsort([len(prompt) for prompt in read], kind="stable")
    found: dict[int, tuple[Array, Array]] = {}
    for begin in range(0, len(order), batch_size):
        some = order[begin : begin + batch_size]
        said = write(model, [read[k] for k in some], writing)
        made = reread(rows, [prompts[k] for k in some], said, writing.end)
        found |= dict(zip(some.tolist(), made, strict=True))
        progress(min(begin + batch_size, len(order)))
    return with_rows(rows, [found[k] for k in range(len(rows))])
