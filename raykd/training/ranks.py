"""The ranks of a training as a method sees them in one step.

Axes: B row of the batch on this rank.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from raykd.data.base import Array
from raykd.training.device import DistributedContext


@dataclass(frozen=True, slots=True)
class StepRanks:
    """`raykd.methods.base.Ranks` of one step, or of one pass of it.

    Attributes:
        world: The processes.
        rows: Row numbers of the batch on all of them.
        parts: The same of each micro batch.
        number: Of the micro batch that is computed; None before the first.
    """

    world: DistributedContext
    rows: Array
    parts: tuple[Array, ...]
    number: int | None = None

    @property
    def rank(self) -> int:
        """Number of this process."""
        return self.world.rank

    @property
    def size(self) -> int:
        """How many there are."""
        return self.world.size

    @property
    def lockstep(self) -> bool:
        """Whether every rank must run the student equally often, also to no purpose."""
        return self.world.lockstep

    def at(self, number: int) -> StepRanks:
        """The same in the pass of one micro batch."""
        return replace(self, number=number)

    @property
    def present(self) -> Array:
        """Row numbers of what is computed now, on all ranks."""
        return self.rows if self.number is None else self.parts[self.number]

    @property
    def share(self) -> float:
        """Of the micro batch in the rows of the batch."""
        return len(self.present) / len(self.rows)

    @property
    def takes_part(self) -> bool:
        """Whether this rank has rows of what is computed now; before the first pass, of any."""
        parts = self.parts if self.number is None else (self.present,)
        return any(self.rank < len(rows) for rows in parts)

    def all_reduce(self, values: Tensor) -> Tensor:
        """Elementwise sum over the ranks, without gradient."""
        self.world.agree()
        return self.world.sum(values.detach().clone())

    def broadcast(self, value: float) -> float:
        """What rank 0 passed, on every rank."""
        self.world.agree()
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
        self.world.agree()
        held = [len(self.present[rank :: self.size]) for rank in range(self.size)]
        sent = values.new_zeros((max(held), *values.shape[1:]))
        own = values[: held[self.rank]]
        sent[: len(own)] = own.detach()
        parts = [part[:n] for part, n in zip(self.world.gather_tensors(sent), held, strict=True)]
        if own.requires_grad:
            own = own.clone()
            own.register_hook(lambda gradient: gradient * self.size)  # type: ignore[no-untyped-call]
        parts[self.rank] = own
        return torch.cat(parts)
