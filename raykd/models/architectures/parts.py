"""Checks whether the weights of a small model can be spread over ranks, with one process.

A rank has the weights of a block while the block is called, and at no other time. What reads them
elsewhere, or computes with a block without calling it, reads parts there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from raykd.models.architectures.checks import near, sample
from raykd.models.forward import forward
from raykd.models.sharding import blocks


def sharding(model: Any) -> str:
    """Nothing reads the weights of a block but the block itself, while it is called."""
    if not blocks(model):
        return "it has no list of blocks that could be gathered one after the other"
    batch = sample(model)
    want = forward(model, batch).logits
    with _present_while_called(blocks(model)):
        got = forward(model, batch).logits
    return "" if near(got, want) else "weights of its blocks are read when no block is called"


@contextmanager
def _present_while_called(parts: tuple[nn.Module, ...]) -> Iterator[None]:
    """Let the weights of parts be no numbers, except while a part is called."""
    kept: dict[nn.Module, list[Tensor]] = {}

    def take_away(part: nn.Module, *called: Any) -> None:
        kept[part] = [weight.data for weight in part.parameters()]
        for weight in part.parameters():
            weight.data = torch.full_like(weight, float("nan"))

    def put_back(part: nn.Module, *called: Any) -> None:
        for weight, values in zip(part.parameters(), kept[part], strict=True):
            weight.data = values

    with ExitStack() as stack:
        for part in parts:
            stack.callback(put_back, part)
            stack.callback(part.register_forward_pre_hook(put_back, prepend=True).remove)
            stack.callback(part.register_forward_hook(take_away).remove)
            take_away(part)
        yield
