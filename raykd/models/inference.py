"""A pass without gradient: evaluation mode, precision, and batches of rows of similar length.

Every pass that only reads a model goes through here: evaluation, recording, generation, and the
words that augmentation puts in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import nn

from raykd.data.base import Array
from raykd.models.sharding import gather_outer, is_sharded


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The model without dropout; afterwards, also after an error, in the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def inference(
    model: nn.Module, autocast: AbstractContextManager[object] | None = None
) -> Iterator[None]:
    """Evaluation mode without gradient; what comes out cannot enter a loss later.

    Args:
        model: Its mode is left as it was.
        autocast: The precision of matrix products, one context around all batches, so that weights
            are cast once; None leaves the precision as it is.
    """
    gather_outer(model)
    # A sharded model keeps what it gathers into, and trains with it later.
    without = torch.no_grad() if is_sharded(model) else torch.inference_mode()
    with evaluation_mode(model), without, autocast or nullcontext():
        yield


def batches_by_length(lengths: Array, size: int) -> list[Array]:
    """Row numbers in batches of rows of similar length, shortest first.

    Args:
        lengths: Tokens per row, ``[N]``; rows of equal length stay in order.
        size: Most rows of a batch.
    """
    order = np.argsort(lengths, kind="stable")
    return [order[begin : begin + size] for begin in range(0, len(order), size)]
