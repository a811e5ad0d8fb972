"""Functions of hidden states, recorded in place of the states where that takes fewer bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import Array
from raykd.losses.token_mask import Mask
from raykd.models.signals.base import Padded, RowSizes, Signal
from raykd.models.signals.hidden_states import HiddenState, hidden_states

if TYPE_CHECKING:
    from raykd.models.base import ModelDims, Outputs


class FeatureTransform(ABC):
    """A function of a model's hidden states, for those who read nothing else of them.

    What it gives may be far smaller than the states. Subclasses are frozen dataclasses of plain
    values; equal ones are recorded once.

    Attributes:
        layers: Hidden states it is made from (0 = embedding output).
        context_padding: Padding positions after the last token that it depends on.
    """

    layers: tuple[int, ...]
    context_padding: int

    @property
    def name(self) -> str:
        """Equal feature transforms have equal names."""
        return repr(self)

    @abstractmethod
    def numbers(self, lengths: Array) -> int:
        """How many float32 numbers rows of so many tokens take in all, at most."""

    @abstractmethod
    def of(self, states: Sequence[Tensor], mask: Mask) -> Any:
        """The function for a batch.

        Args:
            states: Hidden states of `layers`, each ``[B, L, D]``.
            mask: 1 = token, ``[B, L]``, or `Batch.tokens`; ones come first.
        """

    @abstractmethod
    def rows(self, states: Sequence[Tensor], mask: Tensor) -> list[Tensor]:
        """What is kept of each row: float32 arrays that differ in their first axis only.

        The arguments are those of `of`; every row is padded by `context_padding`, as far as the
        length of the batch allows.
        """

    @abstractmethod
    def batch(self, rows: Sequence[Tensor], mask: Tensor) -> Any:
        """The function for a batch, from what was kept of its rows.

        Args:
            rows: One array per row, on the CPU.
            mask: 1 = token, ``[B, L]``, on the device of the result; ones come first.
        """


@dataclass(frozen=True, slots=True)
class Transformed(Signal):
    """What a function of hidden states gives, in float32.

    Attributes:
        of: The function.
    """

    of: FeatureTransform

    title = "functions of hidden states"
    by_position = True
    uses_context_padding = True

    @property
    def name(self) -> str:
        """``feature_transforms/<the function>``."""
        return f"feature_transforms/{self.of.name}"

    @property
    def defined_in(self) -> str:
        """Where the function is defined."""
        return type(self.of).__module__

    def made_from(self) -> tuple[HiddenState, ...]:
        """The states that it is a function of."""
        return hidden_states(self.of.layers)

    def numbers(self, rows: RowSizes, sizes: ModelDims) -> Array:
        """As many as the function says; rows of equal length take as many."""
        distinct, which = np.unique(rows.lengths, return_inverse=True)
        each = [self.of.numbers(distinct[k : k + 1]) for k in range(len(distinct))]
        return np.asarray(each, np.int64)[which]

    def rows(self, out: Outputs, mask: Tensor, sizes: RowSizes) -> Sequence[Tensor]:
        """What the function keeps of each row."""
        return self.of.rows([out.hidden(k) for k in self.of.layers], mask)

    def batch(self, kept: Sequence[Array], of: Padded) -> Any:
        """The function for the batch."""
        assert of.mask is not None
        return self.of.batch([torch.from_numpy(array) for array in kept], of.mask)
