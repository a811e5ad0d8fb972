"""A pass without gradient over the rows of a split, shared by all ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from raykd.data.base import Array, Batch, TokenizedDataset
from raykd.models.inference import batches_by_length, inference
from raykd.training.batches import Collate, stream
from raykd.training.device import DistributedContext, choose_precision
from raykd.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class InferenceSetup:
    """How a model is run over rows.

    Attributes:
        settings: Precision and rows per batch.
        collate: Pads rows.
        world: The ranks.
    """

    settings: TrainSettings
    collate: Collate
    world: DistributedContext


@contextmanager
def inference_pass(model: nn.Module, setup: InferenceSetup) -> Iterator[None]:
    """A context in which a model computes without gradient and dropout, in its precision.

    Args:
        model: On the device of `world`; its mode (training or not) is left as it was.
        setup: The precision and the device.
    """
    precision = choose_precision(setup.settings.precision, setup.world.device, model)
    with inference(model, precision.autocast()):
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
    batches = batches_by_length(encoded.lengths(), setup.settings.eval_batch_size)
    world = setup.world
    with inference_pass(model, setup):
        yield stream(batches[world.rank :: world.size], encoded, setup.collate, device=world.device)
