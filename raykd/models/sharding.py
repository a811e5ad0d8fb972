"""Models whose weights are spread over ranks (FSDP2): how they are, and how they are put together.

A sharded model has of each weight the rows of one rank. Each block gathers its weights before it
runs, forward and backward, and frees them after; what is outside the blocks (embeddings,
head, last normalisation) is gathered with the first forward pass and stays until the gradients are
there, so that a loss can read the matrix of the head. All ranks must run its passes together.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from raykd.models.torch_private import make_root

SHARDING = "sharding"
"""What a model lacks whose weights cannot be spread, besides kinds of signal."""
_MARK, _ALONE = "raykd_sharded", "raykd_alone"


def shard(model: nn.Module, device: torch.device) -> None:
    """Spread the weights of a model over the ranks of the process group, in place.

    Args:
        model: The same on every rank, on any device. One block after the other moves to `device`,
            of which only the part of this rank stays there.
        device: Where this rank computes.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # Nobody writes into what a model or a block returns, views of it or not.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    whole = {p for p in model.parameters() if p.ndim == 0}  # a number cannot be cut
    with torch.no_grad():
        for number in whole:
            number.data = number.to(device)
    for unit in (*blocks(model), model):
        fully_shard(unit, mesh=mesh, ignored_params=whole)
    sharded = cast(Any, model)
    sharded.set_reduce_scatter_unused_params(True)
    make_root(model)
    setattr(model, _MARK, True)


def is_sharded(model: nn.Module) -> bool:
    """Whether `shard` has spread the weights of a model."""
    return bool(getattr(model, _MARK, False))


def runs_together(model: nn.Module) -> bool:
    """Whether all ranks must run a model equally often: it is sharded, and not run `alone`."""
    return is_sharded(model) and not getattr(model, _ALONE, False)


@contextmanager
def alone(models: Iterable[nn.Module]) -> Iterator[None]:
    """Sharded models as they are run by this rank only, while others hold out their parts."""
    held = list(models)
    for model in held:
        setattr(model, _ALONE, True)
    try:
        yield
    finally:
        for model in held:
            delattr(model, _ALONE)


@contextmanager
def run_on(model: nn.Module, count: int | None) -> Iterator[None]:
    """Let a model that has written its texts run on with other ranks, at positions that it has.

    Args:
        model: Sharded or not.
        count: Positions of the model; None: as many as are requested.
    """
    if count is None or not runs_together(model):
        yield
        return
    last = count - 1

    def keep_inside(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        positions = kwargs.get("position_ids")
        inside = {} if positions is None else {"position_ids": positions.clamp(max=last)}
        return args, {**kwargs, **inside}

    hook = model.register_forward_pre_hook(keep_inside, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def blocks(model: nn.Module) -> tuple[nn.Module, ...]:
    """The parts whose weights are gathered together: those of the outermost lists of parts.

    A list of lists is none that can be called: the parts of its lists are.
    """
    parts: list[nn.Module] = []
    inner: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and module not in inner:
            for part in module:
                if type(part).forward is nn.Module.forward:
                    continue
                inner.update(part.modules())
                parts += [part] if part not in parts else []
    return tuple(parts)


def gather_outer(model: nn.Module) -> None:
    """Let every rank have the weights outside of the blocks, for calls of parts of the model.

    A model with all of its weights stays as it is.
    """
    if is_sharded(model):
        cast(Any, model).unshard()


def gather_block(block: nn.Module) -> None:
    """Take part in what another rank gathers for a block that it runs."""
    part = cast(Any, block)
    part.unshard()
    part.reshard()


def release_outer(model: nn.Module) -> None:
    """Let go of everything but the part of this rank, so that its weights can be changed."""
    if is_sharded(model):
        cast(Any, model).reshard()


def is_part(tensor: Tensor) -> bool:
    """Whether a tensor is spread over ranks."""
    return hasattr(tensor, "device_mesh")


def local_part(tensor: Tensor) -> Tensor:
    """What this rank has of a tensor, with the same memory."""
    return cast(Tensor, cast(Any, tensor.detach()).to_local()) if is_part(tensor) else tensor


def whole(local: Tensor, like: Tensor) -> Tensor:
    """A tensor from the parts of all ranks, on every rank.

    Args:
        local: The part of this rank.
        like: A tensor that is spread in the same way, or is whole on every rank.
    """
    from torch.distributed.tensor import DTensor

    if not isinstance(like, DTensor):
        return local
    spread = DTensor.from_local(
        local, like.device_mesh, like.placements, run_check=False, shape=like.shape,
        stride=like.stride(),
    )  # fmt: skip
    return spread.full_tensor()


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """The part of a whole tensor that this rank has where it is spread as another one is."""
    if not is_part(like):
        return tensor
    parts = tensor.chunk(dist.get_world_size())
    rank = dist.get_rank()
    return parts[rank] if rank < len(parts) else tensor[:0]


def collected(named: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Tensors by name, those that are spread over ranks put together.

    All ranks ask together. What was spread is on the CPU of the first rank and missing on the
    others: few devices have room for all of it.
    """
    for name, tensor in named:
        if not is_part(tensor):
            yield name, tensor
            continue
        full = whole(local_part(tensor), tensor)
        if dist.get_rank() == 0:
            yield name, full.cpu()
