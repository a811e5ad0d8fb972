"""Attention maps: the probabilities with which heads look at tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from raykd.data.base import Array
from raykd.models.signals.base import Padded, RowSizes, Signal

if TYPE_CHECKING:
    from raykd.models.base import ModelDims, Outputs


@dataclass(frozen=True, slots=True)
class AttentionMap(Signal):
    """The maps of one block, ``[B, H, L, L]``; a recording keeps ``[length * length, H]`` per row.

    Asking for one switches the model, for good, to the attention that forms the probabilities,
    which is slower.

    Attributes:
        block: Number of the block (from 0), or ``"all"`` before blocks are known.
    """

    block: int | Literal["all"]

    title = "attention maps"
    by_position = True
    is_rounded = True
    model_inputs = MappingProxyType({"output_attentions": True})
    attention = "eager"
    inside_blocks = True

    @property
    def name(self) -> str:
        """``attentions/<block>``."""
        return f"attentions/{self.block}"

    def resolved(self, sizes: ModelDims) -> tuple[Signal, ...]:
        """Each block, where all are meant."""
        return (self,) if self.block != "all" else attention_maps(range(sizes.layers))

    def covers(self, other: Signal) -> bool:
        """All blocks are one more than any."""
        return isinstance(other, AttentionMap) and self.block in ("all", other.block)

    def refusal(self, sizes: ModelDims) -> str:
        """Maps belong to heads, so every block must have all of them."""
        if not sizes.uneven:
            return Signal.refusal(self, sizes)
        return (
            "compares the attention of heads, but blocks of the {side} have lost some\n"
            "choose a model that was not pruned, or a method on class logits (kd)"
        )

    def exists(self, model_output: Any) -> bool:
        """Whether a part of a model has so many blocks."""
        return self.block == "all" or self.block < len(model_output.attentions)

    def read(self, model_output: Any, watched: Any) -> Tensor:
        """The maps of the block."""
        maps: Tensor = model_output.attentions[self.block]
        return maps

    def shape(self, rows: int, length: int, sizes: ModelDims) -> tuple[int, ...]:
        """``[B, H, L, L]``."""
        return rows, sizes.heads, length, length

    def numbers(self, rows: RowSizes, sizes: ModelDims) -> Array:
        """One for each head and pair of tokens."""
        return rows.lengths**2 * sizes.heads

    def rows(self, out: Outputs, mask: Tensor, sizes: RowSizes) -> Sequence[Tensor]:
        """The part of each map between tokens."""
        maps = out.read(self).permute(0, 2, 3, 1)
        lengths = sizes.lengths.tolist()
        return [m[:n, :n].reshape(n * n, -1) for m, n in zip(maps, lengths, strict=True)]

    def batch(self, kept: Sequence[Array], of: Padded) -> Tensor:
        """The maps; pairs of positions of which one is not a token are 0."""
        heads = kept[0].shape[-1]
        out = of.empty(len(kept), heads, of.length, of.length)
        for i, flat in enumerate(kept):
            n = math.isqrt(len(flat))
            out[i, :, :n, :n] = flat.reshape(n, n, heads).transpose(2, 0, 1)
        return of.floats(out)


def attention_maps(blocks: Iterable[int] | Literal["all"]) -> tuple[AttentionMap, ...]:
    """The attention maps of several blocks, or of all."""
    if isinstance(blocks, str):
        return (AttentionMap(blocks),)
    return tuple(AttentionMap(block) for block in blocks)
