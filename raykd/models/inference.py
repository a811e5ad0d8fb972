"""A pass without gradient: evaluation mode, precision, and batches of rows of similar length.

Every pass that only reads a model goes through here: evaluation, recording, generation, the words
that augmentation puts in, what a method looks at before it trains, and an exported student. What
ranks share of a pass over a split is in `raykd.training.inference`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from raykd.data.base import Array
from raykd.models.sharding import gather_outer, is_sharded

ModelT = TypeVar("ModelT", bound=nn.Module)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The model without dropout; afterwards, also after an error, in the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def frozen(model: ModelT) -> ModelT:
    """A model that nothing trains from now on: evaluation mode, weights without gradient."""
    return model.eval().requires_grad_(False)


@contextmanager
def no_gradient(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradient, where what comes out may enter a loss later.

    Backward passes cannot keep what comes out of `inference`, which is cheaper.

    Args:
        model: Its mode is left as it was.
    """
    with evaluation_mode(model), torch.no_grad():
        yield


@contextmanager
def inference(
    model: nn.Module, autocast: AbstractContextManager[object] | None = None
) -> Iterator[None]:
    """Evaluation mode without gradient; what comes out cannot enter a loss later.

    Args:
        model: Its mode is left as it was.
        autocast: The precision of matrix products; None leaves it as it is. Inference mode keeps no
            weight that was cast: each pass casts them again, and no second copy of the model is
            held. `torch.no_grad` would keep those of weights that are trained, the outputs bit for
            bit the same; on a CPU, single rows then took 0.9 to 1.1 times as long.
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
