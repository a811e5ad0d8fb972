"""One rank runs a sharded model, and the others hold out their parts of it.

What only one rank does (record a teacher, score it, let it write) need not know of ranks then: the
others wait until a block is called, and take part in gathering its weights. The rank that leads
computes all by itself, as a device would that had room for the model. The others wait for each of
its calls as long as `COLLECTIVE_TIMEOUT_S` says, and fail then, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from raykd.models.sharding import alone, blocks, gather_block, gather_outer, is_sharded
from raykd.training.device import DistributedContext

T = TypeVar("T")

_END = -1


def led(world: DistributedContext, work: Callable[[], T], *models: nn.Module) -> T | None:
    """What some work gives that runs models without gradient, on rank 0; None on the others.

    Args:
        world: The ranks, all of which call this; only the first one works.
        work: Is done.
        models: What it runs, of which some may be sharded.
    """
    sharded = [model for model in models if is_sharded(model)]
    for model in sharded:
        gather_outer(model)
    parts = [block for model in sharded for block in blocks(model)]
    if world.rank == 0:
        with _announced(world, sharded, parts):
            return work()
    while parts and (number := _receive(world)) != _END:
        gather_block(parts[number])
    return None


@contextmanager
def _announced(
    world: DistributedContext, models: list[nn.Module], parts: list[nn.Module]
) -> Iterator[None]:
    """Tell the other ranks which of the parts is called, and when there is no more to come."""
    hooks = [
        part.register_forward_pre_hook(lambda *_, number=number: _send(world, number), prepend=True)
        for number, part in enumerate(parts)
    ]
    try:
        with alone(models):
            yield
    finally:
        for hook in hooks:
            hook.remove()
        if parts:
            _send(world, _END)


def _send(world: DistributedContext, number: int) -> None:
    world.sum(torch.tensor([number]))


def _receive(world: DistributedContext) -> int:
    return int(world.sum(torch.tensor([0])).item())
