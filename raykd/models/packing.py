"""Packing: the rows of a padded batch in fewer rows of the same width, for the time of a pass.

What a decoder computes of a token depends on the tokens before it in its own text and on its
position there. So several short texts fit into one row, if positions start again with each and
attention stops where a text begins. The batch, its labels and everything recorded of its rows stay
as they are; what is read of a packed pass are the states of tokens, by their packed places.

Axes: B row, L position, R packed row, T token of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import Array, Batch, moved

PACKING = "packing"
"""What a model lacks whose rows cannot be packed, besides kinds of signal."""


def packed_rows(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Which rows share a packed row: the longest first, each where it is the first to fit.

    Args:
        lengths: Tokens of each row, at most `width`.
        width: Positions of a packed row.
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda k: -lengths[k]):
        at = next((k for k, free in enumerate(left) if free >= lengths[row]), len(rows))
        if at == len(rows):
            rows.append([])
            left.append(width)
        rows[at].append(row)
        left[at] -= lengths[row]
    return rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """The rows of a batch in fewer rows.

    Attributes:
        input_ids: int64 ``[R, L]``; any token where a row is not filled.
        positions: int64 ``[R, L]``, of each token in its own text.
        texts: int64 ``[R, L]``, number of the text that a token belongs to; -1 where a row is not
            filled.
        labelled: Places of the M tokens with a label among all of ``[R, L]``, in the order of the
            batch, int64 ``[M]``.
    """

    input_ids: Tensor
    positions: Tensor
    texts: Tensor
    labelled: Tensor

    def at_labels(self, values: Tensor) -> Tensor:
        """What belongs to the tokens with a label, ``[M, ...]``, of values ``[R, L, ...]``."""
        return values.flatten(0, 1).index_select(0, self.labelled)


def pack(batch: Batch) -> Packed | None:
    """The rows of a batch packed; None where that takes as many rows.

    Packed rows are as wide as the batch, so that attention costs no more and no further positions
    are needed. Where tokens go is found on the host; nothing is read back from a device.

    Args:
        batch: Prompts with responses, as a decoder reads them.
    """
    lengths, width = batch.lengths, batch.input_ids.shape[1]
    rows = packed_rows(lengths.tolist(), width)
    if len(rows) == len(lengths):
        return None
    device = batch.input_ids.device
    places = _places(rows, lengths, width)
    source, positions, texts, target = (moved(torch.from_numpy(of), device) for of in places)
    return Packed(
        input_ids=batch.input_ids.flatten()[source],
        positions=positions,
        texts=texts,
        labelled=target[batch.labelled],
    )


def _places(
    rows: Sequence[Sequence[int]], lengths: Array, width: int
) -> tuple[Array, Array, Array, Array]:
    """Of each packed place: where it comes from, position and text; and where each place goes."""
    first, text = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    for number, own in enumerate(rows):
        before = np.cumsum([0, *lengths[own[:-1]]])
        first[own], text[own] = number * width + before, np.arange(len(own))
    row = np.repeat(np.arange(len(lengths)), lengths)
    column = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    place, origin = first[row] + column, row * width + column
    size = len(rows) * width
    source, positions = np.zeros(size, np.int64), np.zeros(size, np.int64)
    texts, target = np.full(size, -1), np.zeros(len(lengths) * width, np.int64)
    source[place], positions[place], texts[place], target[origin] = origin, column, text[row], place
    shape = (len(rows), width)
    return source.reshape(shape), positions.reshape(shape), texts.reshape(shape), target
