"""Gradients over ranks: their mean, for the parameters that some rank has used.

They are averaged when the last pass of a step has ended, and not while it still runs, as
`torch.nn.parallel.DistributedDataParallel` does it: ranks meet before the first collective of a
step, so that all hear of it if memory ran out on one and the step can be repeated in more passes.
One that ran out in the middle of a pass could not take part in what the others have begun. Also,
a parameter that no rank uses is known as such only when all passes have ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from raykd.training.device import DistributedContext

BUCKET = 1 << 20
"""Numbers that are sent together; larger gradients are sent as they are."""


def average_gradients(parameters: Sequence[nn.Parameter], world: DistributedContext) -> None:
    """Replace the gradients of every rank by their mean.

    A parameter that no rank has used keeps None, so that the optimizer leaves it alone; where only
    some ranks have used one, that of the others is 0.

    Args:
        parameters: The same on every rank.
        world: The ranks.
    """
    if world.size == 1:
        return
    used = world.sum(torch.tensor([int(p.grad is not None) for p in parameters])).tolist()
    gradients: list[Tensor] = []
    for parameter, count in zip(parameters, used, strict=True):
        if not count:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    for bucket in _buckets(gradients):
        whole = bucket[0] if len(bucket) == 1 else torch.cat([g.flatten() for g in bucket])
        world.sum(whole).div_(world.size)
        if len(bucket) > 1:
            parts = torch.split(whole, [g.numel() for g in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gradients of one number format that are sent together."""
    for dtype in dict.fromkeys(g.dtype for g in gradients):
        bucket: list[Tensor] = []
        held = 0
        for gradient in gradients:
            if gradient.dtype != dtype:
                continue
            if bucket and held + gradient.numel() > BUCKET:
                yield bucket
                bucket, held = [], 0
            bucket.append(gradient)
            held += gradient.numel()
        yield bucket
