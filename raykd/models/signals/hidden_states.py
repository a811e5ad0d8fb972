"""Hidden states: what a block gives to the next one."""

from __future__ import annotations

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
class HiddenState(Signal):
    """The states of one layer, ``[B, L, D]``; a recording keeps ``[positions, D]`` per row.

    Attributes:
        layer: Number of the layer (0 = embedding output), or ``"all"`` before layers are known.
    """

    layer: int | Literal["all"]

    title = "hidden states"
    by_position = True
    is_rounded = True
    uses_context_padding = True
    model_inputs = MappingProxyType({"output_hidden_states": True})

    @property
    def name(self) -> str:
        """``hidden_states/<layer>``."""
        return f"hidden_states/{self.layer}"

    def resolved(self, sizes: ModelDims) -> tuple[Signal, ...]:
        """Each layer, where all are meant."""
        return (self,) if self.layer != "all" else hidden_states(range(sizes.layers + 1))

    def covers(self, other: Signal) -> bool:
        """All layers are one more than any."""
        return isinstance(other, HiddenState) and self.layer in ("all", other.layer)

    def exists(self, model_output: Any) -> bool:
        """Whether a part of a model has so many blocks."""
        return self.layer == "all" or self.layer < len(model_output.hidden_states)

    def read(self, model_output: Any, watched: Any) -> Tensor:
        """The states of the layer."""
        states: Tensor = model_output.hidden_states[self.layer]
        return states

    def shape(self, rows: int, length: int, sizes: ModelDims) -> tuple[int, ...]:
        """``[B, L, D]``."""
        return rows, length, sizes.hidden

    def numbers(self, rows: RowSizes, sizes: ModelDims) -> Array:
        """The width of the model for every position."""
        return rows.positions * sizes.hidden

    def rows(self, out: Outputs, mask: Tensor, sizes: RowSizes) -> Sequence[Tensor]:
        """The states of each row and its context padding."""
        return positions(out.read(self), sizes)

    def batch(self, kept: Sequence[Array], of: Padded) -> Tensor:
        """The states, 0 where none were recorded."""
        return padded(kept, of)


def hidden_states(layers: Iterable[int] | Literal["all"]) -> tuple[HiddenState, ...]:
    """The hidden states of several layers, or of all."""
    if isinstance(layers, str):
        return (HiddenState(layers),)
    return tuple(HiddenState(layer) for layer in layers)


def positions(values: Tensor, sizes: RowSizes) -> list[Tensor]:
    """The positions of each row that are kept, of ``[B, L, D]``."""
    return [v[:n] for v, n in zip(values, sizes.positions.tolist(), strict=True)]


def padded(kept: Sequence[Array], of: Padded) -> Tensor:
    """Rows of positions as a batch, float32 ``[B, L, D]``; positions that were not kept are 0."""
    out = of.empty(len(kept), of.length, kept[0].shape[-1])
    for i, values in enumerate(kept):
        some = values[: of.length]
        out[i, : len(some)] = some
    return of.floats(out)
