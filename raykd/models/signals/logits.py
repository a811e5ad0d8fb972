"""Logits: what a model says of the classes of a row, or of the tokens of a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import PADDED, Array
from raykd.models.signals.base import Padded, RowSizes, Signal
from raykd.models.signals.ragged import Ragged

if TYPE_CHECKING:
    from raykd.models.base import ModelDims, Outputs


@dataclass(frozen=True, slots=True)
class Logits(Signal):
    """Float32: ``[B, C]``, ``[B, 2, L]`` for spans, ``[tokens with a label, C]`` for tokens.

    A forward pass gives them always; a recording keeps them as ``[1, C]``, ``[length, 2]`` or
    ``[tokens with a label, C]`` per row.
    """

    title = "logits"

    @property
    def name(self) -> str:
        """``logits``."""
        return "logits"

    def made_from(self) -> tuple[Signal, ...]:
        """Nothing besides what every forward pass gives."""
        return ()

    def numbers(self, rows: RowSizes, sizes: ModelDims) -> Array:
        """As many as there are classes, for the row, its positions or its labelled tokens."""
        if rows.labelled is not None:
            return rows.labelled * rows.logits
        count = rows.lengths if rows.per_position else rows.lengths**0
        return count * rows.logits

    def rows(self, out: Outputs, mask: Tensor, sizes: RowSizes) -> Sequence[Tensor]:
        """The logits of each row without padding."""
        values = out.logits.float()
        if values.dim() == 3:
            return [v[:, :n].T for v, n in zip(values, sizes.lengths.tolist(), strict=True)]
        if sizes.labelled is not None:
            return list(torch.split(values, sizes.labelled.tolist()))
        return list(values[:, None])

    def gather(self, parts: Mapping[str, Ragged], rows: Array, of: Padded) -> Tensor:
        """One copy where rows are in one piece, instead of one for each."""
        part = parts[self.name]
        if of.labels_of == "row" and len(part.chunks) == 1:
            return of.move(torch.from_numpy(part.chunks[0][rows]))
        return self.batch(part.rows(rows), of)

    def batch(self, kept: Sequence[Array], of: Padded) -> Tensor:
        """Classes, or tokens one after the other; spans padded with `PADDED`."""
        if of.labels_of != "span":
            return of.move(torch.from_numpy(np.concatenate(kept)))
        out = np.full((len(kept), 2, of.length), PADDED, np.float32)
        for i, values in enumerate(kept):
            out[i, :, : len(values)] = values.T
        return of.move(torch.from_numpy(out))
