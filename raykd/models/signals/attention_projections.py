"""Attention projections: the queries, keys or values of one block, before they meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from raykd.data.base import Array
from raykd.models.families.base import family_of
from raykd.models.signals.base import Padded, RowSizes, Signal
from raykd.models.signals.hidden_states import padded

if TYPE_CHECKING:
    from raykd.models.base import ModelDims, Outputs

MODULES = {
    "bert": {"query": "attention.self.query", "key": "attention.self.key",
             "value": "attention.self.value"},
    "roberta": {"query": "attention.self.query", "key": "attention.self.key",
                "value": "attention.self.value"},
    "distilbert": {"query": "attention.q_lin", "key": "attention.k_lin",
                   "value": "attention.v_lin"},
}  # fmt: skip
"""Where the projections of a block are, by family: layers that map its input to all heads."""


@dataclass(frozen=True, slots=True)
class AttentionProjection(Signal):
    """The outputs of one projection for all heads, side by side, ``[B, L, D]``.

    A recording keeps ``[length, D]`` per row. A student's projection may have fewer dimensions, or
    another number of heads.

    Attributes:
        block: Number of the block (from 0), or ``"all"`` before blocks are known.
        which: Queries, keys or values.
    """

    block: int | Literal["all"]
    which: Literal["query", "key", "value"]

    title = "attention projections"
    by_position = True
    is_rounded = True

    inside_blocks = True

    @property
    def name(self) -> str:
        """``attention_projections/<which>/<block>``."""
        return f"attention_projections/{self.which}/{self.block}"

    def resolved(self, sizes: ModelDims) -> tuple[Signal, ...]:
        """Each block, where all are meant."""
        if self.block != "all":
            return (self,)
        return tuple(AttentionProjection(block, self.which) for block in range(sizes.layers))

    def covers(self, other: Signal) -> bool:
        """All blocks are one more than any."""
        return (
            isinstance(other, AttentionProjection)
            and self.which == other.which
            and self.block in ("all", other.block)
        )

    def refusal(self, sizes: ModelDims) -> str:
        """Families that project to fewer or to grouped heads, or do it in one piece, are others."""
        if sizes.family and sizes.family not in MODULES:
            return (
                "compares queries, keys and values of attention, which are not known for the "
                f"{{side}}'s family '{sizes.family}'\nchoose {', '.join(MODULES)}"
            )
        if sizes.uneven:
            return (
                "compares queries, keys and values of all heads, but blocks of the {side} have "
                "lost some\nchoose a model that was not pruned"
            )
        return ""

    @contextmanager
    def watching(self, model: Any) -> Iterator[list[Tensor]]:
        """The outputs of the projection during the forward pass."""
        family = family_of(model.config)
        path = f"{family.layer_prefix}{self.block}.{MODULES[family.name][self.which]}"
        seen: list[Tensor] = []
        hook = model.get_submodule(path).register_forward_hook(
            lambda module, inputs, output: seen.append(output)
        )
        try:
            yield seen
        finally:
            hook.remove()

    def read(self, model_output: Any, watched: Any) -> Tensor:
        """What the projection gave."""
        (values,) = watched
        values_BLD: Tensor = values
        return values_BLD

    def shape(self, rows: int, length: int, sizes: ModelDims) -> tuple[int, ...]:
        """``[B, L, D]``."""
        return rows, length, sizes.hidden

    def numbers(self, rows: RowSizes, sizes: ModelDims) -> Array:
        """The width of the model for every token."""
        return rows.lengths * sizes.hidden

    def rows(self, out: Outputs, mask: Tensor, sizes: RowSizes) -> Sequence[Tensor]:
        """The projections of the tokens of each row."""
        lengths = sizes.lengths.tolist()
        return [v[:n] for v, n in zip(out.read(self), lengths, strict=True)]

    def batch(self, kept: Sequence[Array], of: Padded) -> Tensor:
        """The projections, 0 where there is no token."""
        return padded(kept, of)
