"""Collectives for methods: the processes that train one model together.

Axes: B row of the batch on this rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from raykd.data.base import Array


@dataclass(frozen=True, slots=True)
class SingleProcess:
    """The `Ranks` of a process that trains a model by itself."""

    rank: int = 0
    size: int = 1
    rows: Array | None = None
    takes_part: bool = True
    number: int = 0
    share: float = 1.0
    lockstep: bool = False

    def at(self, number: int) -> SingleProcess:
        """The same: there is one pass."""
        return self

    def all_reduce(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values

    def broadcast(self, value: float) -> float:
        """The value itself."""
        return value

    def all_gather(self, values: Tensor) -> Tensor:
        """The values themselves."""
        return values


class Ranks(Protocol):
    """The processes that train one model together, as far as a method has to know of them.

    A batch is computed as a whole, or in micro batches, one after the other. Of the rows of each of
    them rank r has every `size`-th one, from the r-th on.
    """

    @property
    def rank(self) -> int:
        """Number of this process."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    @property
    def rows(self) -> Array | None:
        """Row numbers of the whole batch on all ranks; None outside of a training."""
        ...

    @property
    def takes_part(self) -> bool:
        """Whether this rank has rows of what is computed; one that has none computes one row."""
        ...

    @property
    def number(self) -> int | None:
        """Of the micro batch that is computed, from 0; None in `Method.prepare`."""
        ...

    @property
    def share(self) -> float:
        """Of this micro batch in the rows of the batch."""
        ...

    @property
    def lockstep(self) -> bool:
        """Whether every rank must run the student equally often, also to no purpose."""
        ...

    def at(self, number: int) -> Ranks:
        """The same in the pass of one micro batch."""
        ...

    def all_reduce(self, values: Tensor) -> Tensor:
        """Elementwise sum over the ranks, without gradient."""
        ...

    def broadcast(self, value: float) -> float:
        """The value of rank 0, on every rank; for what is drawn once for all of them."""
        ...

    def all_gather(self, values: Tensor) -> Tensor:
        """One value per row of the micro batch to those of all ranks, rank after rank.

        A loss of all of them is the same on every rank, and is given as ``Mean(loss, ranks.share)``
        with `of_batch` off; its gradient then is that of one process with all rows.

        Args:
            values: ``[B, ...]``, what this rank has for its rows.
        """
        ...
