"""The ranks of a training as a method sees them in one step.

Axes: B row of the batch on this rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.data.base import Array
from raykd.training.device import DistributedContext


@dataclass(frozen=True, slots=True)
class StepRanks:
    """`raykd.methods.base.Ranks` of one step.

    Attributes:
        world: The processes.
        rows: Row numbers of the batch on all of them.
    """

    world: DistributedContext
    rows: Array

    @property
    def rank(self) -> int:
        """Number of this process."""
        return self.world.rank

    @property
    def size(self) -> int:
        """How many there are."""
        return self.world.size

    @property
    def takes_part(self) -> bool:
        """Whether this rank has rows of the batch."""
        return self.rank < len(self.rows)

    def all_reduce(self, values: Tensor) -> Tensor:
        """Elementwise sum over the ranks, without gradient."""
        return self.world.sum(values.detach().clone())

    def broadcast(self, value: float) -> float:
        """What rank 0 passed, on every rank."""
        return self.world.broadcast(value)

    def all_gather(self, values: Tensor) -> Tensor:
        """Values of the rows of all ranks, rank after rank; those of this one with gradient.

        How many rows each rank has is known beforehand, so that nothing waits for the device. The
        gradient is multiplied by the number of ranks, because that of the ranks is averaged.

        Args:
            values: ``[B, ...]``.
        """
        if self.size == 1:
            return values
        held = [len(self.rows[rank :: self.size]) for rank in range(self.size)]
        sent = values.new_zeros((max(held), *values.shape[1:]))
        own = values[: held[self.rank]]
        sent[: len(own)] = own.detach()
        parts = [part[:n] for part, n in zip(self.world.gather_tensors(sent), held, strict=True)]
        if own.requires_grad:
            own = own.clone()
            own.register_hook(lambda gradient: gradient * self.size)  # type: ignore[no-untyped-call]
        parts[self.rank] = own
        return torch.cat(parts)
