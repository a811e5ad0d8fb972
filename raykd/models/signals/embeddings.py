"""Vectors of the two texts of a row, which a model reads one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from raykd.data.base import Array
from raykd.models.signals.base import Padded, RowSizes, Signal

if TYPE_CHECKING:
    from raykd.models.base import ModelDims, Outputs


@dataclass(frozen=True, slots=True)
class Embeddings(Signal):
    """Float32 ``[B, 2, D]``; a recording keeps them as ``[2, D]`` per row."""

    title = "embeddings of texts"
    is_rounded = True

    @property
    def name(self) -> str:
        """``embeddings``."""
        return "embeddings"

    def shape(self, rows: int, length: int, sizes: ModelDims) -> tuple[int, ...]:
        """Two vectors as wide as the model for each row."""
        return (rows, 2, sizes.hidden)

    def read(self, model_output: Any, watched: Any) -> Any:
        """As the kind of task gives them."""
        return model_output.embeddings

    def numbers(self, rows: RowSizes, sizes: ModelDims) -> Array:
        """Those of two vectors, whatever the length of a row."""
        return rows.lengths**0 * 2 * sizes.hidden

    def rows(self, out: Outputs, mask: Tensor, sizes: RowSizes) -> Sequence[Tensor]:
        """Both vectors of each row."""
        return list(out.read(self))

    def batch(self, kept: Sequence[Array], of: Padded) -> Tensor:
        """The rows, one after the other."""
        filled = of.empty(len(kept), *kept[0].shape)
        for row, vectors in enumerate(kept):
            filled[row] = vectors
        return of.floats(filled)
