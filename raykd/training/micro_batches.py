"""Micro batches: how many rows a rank computes at once, and how batches are cut into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from raykd.data.base import Array, Batch, TokenizedDataset
from raykd.data.unlabelled import weighted_by_batch
from raykd.errors import TrialError
from raykd.methods.base import Method
from raykd.training.batches import Collate, stream
from raykd.training.device import DistributedContext
from raykd.training.memory import OutOfMemory, release
from raykd.training.seeding import capture_draws, restore_draws
from raykd.training.settings import AUTO, TrainSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What one forward and backward pass computes.

    Attributes:
        batch: This rank's rows of it.
        rows: Row numbers of it on all ranks.
    """

    batch: Batch
    rows: Array


class MicroBatches:
    """Cuts batches, finer when memory runs out and the setting is ``auto``.

    Args:
        settings: Batch size and rows of a pass.
        train: The rows.
        collate: Pads rows.
        world: The ranks.
    """

    def __init__(
        self,
        settings: TrainSettings,
        train: TokenizedDataset,
        collate: Collate,
        world: DistributedContext,
    ) -> None:
        self._train = train
        self._lengths = train.lengths()
        self._collate = collate
        self._world = world
        self._whole = -(-settings.batch_size // world.size)
        self._auto = settings.micro_batch == AUTO
        wanted = settings.micro_batch
        self._rows = min(wanted, self._whole) if isinstance(wanted, int) else self._whole

    @property
    def rows(self) -> int:
        """Most rows of a pass on a rank; 0 where that is the whole batch."""
        return self._rows if self._rows < self._whole else 0

    def resume_with(self, rows: int) -> None:
        """Cut as the training that is resumed did; `rows` is what `rows` was."""
        if self._auto and rows:
            self._rows = min(rows, self._whole)

    def cut(self, rows: Array) -> list[Array]:
        """The micro batches of a batch, as even as can be.

        Those of several have rows of similar length, so that they are padded no more than the
        batch would be. One is the batch as it is.

        Args:
            rows: Row numbers of the batch on all ranks.
        """
        number = -(-self._largest(rows) // self._rows)
        if number == 1:
            return [rows]
        by_length = rows[np.argsort(self._lengths[rows], kind="stable")]
        return np.array_split(by_length, number)

    def of(self, batches: Sequence[Array]) -> Iterator[tuple[Array, list[MicroBatch]]]:
        """The row numbers of every batch, and its micro batches on the device of this rank."""
        cut = [self.cut(rows) for rows in batches]
        world = self._world
        train = weighted_by_batch(self._train, batches)
        coming = stream(
            (part for parts in cut for part in parts), train, self._collate,
            rank=world.rank, size=world.size, device=world.device,
        )  # fmt: skip
        for rows, parts in zip(batches, cut, strict=True):
            yield rows, [MicroBatch(*next(coming)) for _ in parts]

    def attempt(self, step: Callable[[], T], rows: Array, method: Method[Any]) -> T | None:
        """What a step gives; None if memory ran out, and it is to be repeated in more passes.

        It is then as if it had not begun, for what the method remembers and what torch draws.

        Args:
            step: Is done.
            rows: Its batch, on all ranks.
            method: Whose step it is.

        Raises:
            TrialError: Memory ran out with one row in a pass, the setting is a number, or weights
                are spread over ranks, which are in the middle of a pass then.
        """
        device = self._world.device
        before = (capture_draws(device), method.state_dict()) if self._auto else None
        try:
            return step()
        except OutOfMemory as failure:
            self._refine(rows, failure)
        # Only here is the exception gone, and with it the tensors of the pass that failed.
        release(device)
        assert before is not None
        draws, remembered = before
        restore_draws(draws, device)
        method.load_state_dict(remembered)
        return None

    def _refine(self, rows: Array, failure: OutOfMemory) -> None:
        """Half as many rows in a pass, from now on, as memory ran out with."""
        size = min(self._rows, self._largest(rows))
        if self._world.lockstep or not self._auto or size == 1:
            what = "1 row" if size == 1 else f"{size:,} rows"
            raise TrialError(
                f"memory ran out with {what} in a pass: {failure.reason}",
                hint="set train.gradient_checkpointing: true, or take shorter rows "
                "(data.max_length) or a smaller model"
                if size == 1
                else f"set train.micro_batch to {'' if self._world.lockstep else 'auto or '}"
                "a smaller number",
            )
        self._rows = -(-size // 2)

    def _largest(self, rows: Array) -> int:
        """Most rows of a batch that one rank has."""
        return -(-len(rows) // self._world.size)
