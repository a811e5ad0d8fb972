"""A pass without gradient over the rows of a split, shared by all ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from raykd.data.base import Array, Batch, TokenizedDataset
from raykd.models.inference import batches_by_length, inference
from raykd.training.batches import Collate, stream
from raykd.training.device import DistributedContext, choose_precision
from raykd.training.settings import TrainSettings


@contextmanager
def inference_pass(
    model: nn.Module, settings: TrainSettings, world: DistributedContext
) -> Iterator[None]:
    """A context in which a model computes without gradient and dropout, in its precision.

    Args:
        model: On the device of `world`; its mode (training or not) is left as it was.
        settings: The precision.
        world: This process.
    """
    with inference(model, choose_precision(settings.precision, world.device, model).autocast()):
        yield


@contextmanager
def inference_batches(
    model: nn.Module,
    encoded: TokenizedDataset,
    settings: TrainSettings,
    collate: Collate,
    world: DistributedContext,
) -> Iterator[Iterator[tuple[Batch, Array]]]:
    """An `inference_pass` that yields the batches of this rank, with their row numbers.

    Whole batches, sorted by length, are distributed over the ranks, so what is computed of a row
    does not depend on the number of ranks.

    Args:
        model: See `inference_pass`.
        encoded: The rows.
        settings: Precision and rows per batch.
        collate: Pads rows.
        world: The ranks.
    """
    batches = batches_by_length(encoded.lengths(), settings.eval_batch_size)
    with inference_pass(model, settings, world):
        yield stream(batches[world.rank :: world.size], encoded, collate, device=world.device)
