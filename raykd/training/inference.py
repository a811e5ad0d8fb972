"""A pass without gradient over the rows of a split, shared by all ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from raykd.data.base import Array, Batch, TokenizedDataset
from raykd.models.forward import forward
from raykd.models.inference import batches_by_length, inference
from raykd.models.sharding import runs_together
from raykd.training.batches import Collate, stream
from raykd.training.device import DistributedContext, choose_precision, together
from raykd.training.memory import OutOfMemory, release
from raykd.training.settings import TrainSettings

T = TypeVar("T")


@dataclass(slots=True)
class InferenceSetup:
    """How a model is run over rows.

    Attributes:
        settings: Precision and rows per batch.
        collate: Pads rows.
        world: The ranks.
        most_rows: Rows per batch that memory is enough for; None where it is for the setting.
    """

    settings: TrainSettings
    collate: Collate
    world: DistributedContext
    most_rows: int | None = None

    @property
    def batch_size(self) -> int:
        """Rows per batch."""
        return self.most_rows or self.settings.eval_batch_size

    def attempt(self, run: Callable[[], T]) -> T:
        """What a pass gives, repeated with half as many rows per batch each time memory runs out.

        Raises:
            OutOfMemory: It does with one row, or in lockstep.
        """
        while True:
            try:
                return run()
            except OutOfMemory:
                if self.batch_size == 1 or self.world.lockstep:
                    raise
            self.most_rows = self.batch_size // 2
            release(self.world.device)


@contextmanager
def inference_pass(model: nn.Module, setup: InferenceSetup) -> Iterator[None]:
    """A context in which a model computes without gradient and dropout, in its precision.

    Collectives come after it, where all ranks know that memory was enough for every one of them.

    Args:
        model: On the device of `world`; its mode (training or not) is left as it was.
        setup: The precision and the device.

    Raises:
        OutOfMemory: It was not.
    """
    precision = choose_precision(setup.settings.precision, setup.world.device, model)
    with inference(model, precision.autocast()), together(setup.world):
        yield


@contextmanager
def inference_batches(
    model: nn.Module,
    encoded: TokenizedDataset,
    setup: InferenceSetup,
) -> Iterator[Iterator[tuple[Batch, Array]]]:
    """An `inference_pass` that yields the batches of this rank, with their row numbers.

    Whole batches, sorted by length, are distributed over the ranks, so what is computed of a row
    does not depend on the number of ranks.

    Args:
        model: See `inference_pass`.
        encoded: The rows.
        setup: Precision, rows per batch, how they are padded, the ranks.
    """
    batches = batches_by_length(encoded.lengths(), setup.batch_size)
    world = setup.world
    own = batches[world.rank :: world.size]
    with inference_pass(model, setup):
        yield stream(own, encoded, setup.collate, device=world.device)
        for rows in stand_ins(model, batches, world):
            forward(model, setup.collate(encoded, rows).to(world.device))


def stand_ins(
    model: nn.Module, batches: Sequence[Array], world: DistributedContext
) -> Sequence[Array]:
    """Batches that this rank computes to no purpose, as others have one more that counts.

    All ranks of a sharded model run it equally often.

    Args:
        model: What is run.
        batches: Of all ranks.
        world: The ranks.
    """
    here = len(batches[world.rank :: world.size])
    most = -(-len(batches) // world.size)
    return batches[: most - here] if runs_together(model) else ()
