"""Which positions of a batch are tokens, with what the host knows of it.

How many tokens there are decides the shape of what is picked from them. Asking the device for it
makes the host wait for everything that runs there; the host made the batch, and knows.

Axes: B row, L position, N token, P pair of tokens of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TokenMask:
    """The tokens of a batch.

    Attributes:
        mask: 1 = token, ``[B, L]``.
        counts: Tokens of each row.
        ends: Where the last token of each row is, counted from 1; 0 for a row without any.
        rows: Row of each token, int64 ``[N]``, on the device of `mask`.
        columns: Its position, int64 ``[N]``.
    """

    mask: Tensor
    counts: tuple[int, ...]
    ends: tuple[int, ...]
    rows: Tensor
    columns: Tensor

    @classmethod
    def of_lengths(cls, mask: Tensor, lengths: Sequence[int]) -> TokenMask:
        """A mask ``[B, L]`` whose ones come first, so many in each row; nothing is read back."""
        counts, total = tuple(lengths), sum(lengths)
        held = mask.sum(dim=1)
        numbers = torch.arange(len(mask), device=mask.device)
        rows = numbers.repeat_interleave(held, output_size=total)
        first = held.cumsum(dim=0) - held
        columns = torch.arange(total, device=mask.device) - first[rows]
        return cls(mask, counts, counts, rows, columns)

    @property
    def places(self) -> Tensor:
        """Of each token among all positions, flattened, int64 ``[N]``."""
        return self.rows * self.mask.shape[1] + self.columns

    def pick(self, values: Tensor) -> Tensor:
        """Those of the tokens, ``[N, ...]``, row after row, of values ``[B, L, ...]``."""
        return values[self.rows, self.columns]

    def pick_pairs(self, values: Tensor) -> Tensor:
        """Those of all pairs of tokens of a row, ``[P, ...]``, of values ``[B, L, L, ...]``."""
        held = self.mask.sum(dim=1)
        partners = held[self.rows]
        total = sum(count * count for count in self.counts)
        numbers = torch.arange(len(self.rows), device=self.rows.device)
        one = numbers.repeat_interleave(partners, output_size=total)
        within = torch.arange(total, device=one.device) - (partners.cumsum(0) - partners)[one]
        other = (held.cumsum(0) - held)[self.rows[one]] + within
        return values[self.rows[one], self.columns[one], self.columns[other]]


Mask = Tensor | TokenMask
"""1 = token, ``[B, L]``; a plain tensor is read back where the number of tokens matters."""


def token_mask(mask: Mask) -> TokenMask:
    """The tokens of a mask."""
    if isinstance(mask, TokenMask):
        return mask
    rows, columns = mask.nonzero(as_tuple=True)
    positions = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    counts, ends = mask.sum(dim=1), (mask.bool() * positions).amax(dim=1)
    return TokenMask(mask, tuple(counts.tolist()), tuple(ends.tolist()), rows, columns)


def plain_mask(mask: Mask) -> Tensor:
    """The mask alone, ``[B, L]``."""
    return mask.mask if isinstance(mask, TokenMask) else mask
