"""Which rows form a batch, in which order, on which rank; and their way to the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from raykd.data.base import Array, Batch, TokenizedDataset
from raykd.training.pace import PACE
from raykd.training.seeding import derive_seed

PREFETCH = 2
"""Batches copied to a GPU ahead of the one in use."""


class Collate(Protocol):
    """Pads rows to a batch."""

    @property
    def pad_id(self) -> int:
        """The token it pads with."""
        ...

    def __call__(self, encoded: TokenizedDataset, rows: Array) -> Batch:
        """The batch of some rows."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthGroupedBatches:
    """The global batches of every epoch; the same for any number of ranks.

    An epoch is a seeded shuffle of the rows, cut into windows of some batches. Inside a window rows
    are sorted by length and cut into batches, so that rows of a batch are of similar length;
    finally the batches of the epoch are shuffled, so that lengths come in no order.

    Attributes:
        lengths: Tokens per row, ``[N]``.
        batch_size: Rows per batch over all ranks.
        seed: Decides the order.
        grouped: False leaves the plain shuffle.
        window: Batches in a window. Wider windows pad less and mix rows less.
    """

    lengths: Array
    batch_size: int
    seed: int
    grouped: bool = True
    window: int = 32

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.lengths) // self.batch_size)

    def epoch(self, number: int) -> list[Array]:
        """Row numbers of every batch of one epoch, int64 ``[B]`` each; every row occurs once.

        Args:
            number: Epoch, from 0.
        """
        random = np.random.default_rng(derive_seed(self.seed, "order", number))
        rows = random.permutation(len(self.lengths))
        if not self.grouped:
            return self._cut(rows)
        span = self.window * self.batch_size
        batches: list[Array] = []
        for begin in range(0, len(rows), span):
            window = rows[begin : begin + span]
            # Stable: rows of equal length stay in shuffled order.
            batches += self._cut(window[np.argsort(self.lengths[window], kind="stable")])
        return [batches[i] for i in random.permutation(len(batches))]

    def _cut(self, rows: Array) -> list[Array]:
        return [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]


def train_shard(rows: Array, rank: int, size: int) -> Array:
    """The rows of a global batch that one rank computes: every `size`-th one, from `rank` on.

    A rank for which there are none computes the first one, which does not count there: all ranks
    must take part in every step. See `raykd.training.terms.shares` for how ranks are weighted.

    Args:
        rows: Row numbers of the global batch, ``[B]``.
        rank: Number of this rank.
        size: How many ranks there are.
    """
    return rows[rank::size] if rank < len(rows) else rows[:1]


def stream(
    batches: Iterable[Array],
    encoded: TokenizedDataset,
    collate: Collate,
    *,
    rank: int = 0,
    size: int = 1,
    device: torch.device,
) -> Iterator[tuple[Batch, Array]]:
    """This rank's part of every batch on its device, with the rows of the batch on all ranks.

    For a GPU the next batches are made and copied while it still computes the present one.
    """
    ready: deque[tuple[Batch, Array]] = deque()
    ahead = PREFETCH if device.type == "cuda" else 0
    for rows in batches:
        own = train_shard(rows, rank, size)
        ready.append((collate(encoded, own).to(device), rows))
        if len(ready) > ahead:
            yield ready.popleft()
            PACE.made()
    yield from ready
