"""What a loss reaches in a sharded model, and how every rank runs every block.

In a backward pass ranks gather the weights of a block when the gradient arrives at it, and average
its gradients when it leaves: a rank whose loss does not reach a block that others reach would let
them wait for ever. It happens where a rank has nothing that a loss term counts.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from raykd.models.sharding import blocks, is_part


class Reach:
    """Follows the losses of a step through a model.

    Args:
        module: Everything that is trained.
        model: The part of it that is sharded.
    """

    def __init__(self, module: nn.Module, model: nn.Module) -> None:
        self._module = module
        self._inside: set[str] = set()
        self._names: dict[int, str] = {}
        """Of the whole weights of blocks, which are other tensors than their parts."""
        self._used: set[str] = set()
        self._returned: list[Tensor] = []
        of_module = {id(part): name for name, part in module.named_modules()}
        for block in blocks(model):
            name = of_module[id(block)]
            own = dict(block.named_parameters(prefix=name))
            self._inside |= {n for n, p in own.items() if p.requires_grad}
            block.register_forward_pre_hook(functools.partial(self._note_weights, name))
        model.register_forward_hook(self._note_output)

    def connected(self, loss: Tensor) -> Tensor:
        """The loss of a pass, with 0 times the model's outputs where it does not reach all blocks.

        Args:
            loss: A scalar.
        """
        # What is outside the blocks is whole since the forward pass.
        outside = {id(p): n for n, p in self._module.named_parameters() if not is_part(p)}
        names = self._names | outside
        reached = {names[id(leaf)] for leaf in _leaves(loss) if id(leaf) in names}
        self._used |= reached
        returned, self._returned = self._returned, []
        if self._inside <= reached:
            return loss
        nothing: list[Tensor] = [_Zero.apply(output) for output in returned]  # type: ignore[no-untyped-call]
        return torch.stack([loss, *nothing]).sum()

    def used(self) -> set[str]:
        """Names of the parameters that the losses since the last call have reached."""
        used, self._used = self._used, set()
        return used

    def _note_weights(self, prefix: str, block: nn.Module, *_: Any) -> None:
        named = block.named_parameters(prefix=prefix)
        self._names |= {id(parameter): name for name, parameter in named}

    def _note_output(self, model: nn.Module, given: Any, output: Mapping[str, Any]) -> None:
        differentiable = (v for v in output.values() if isinstance(v, Tensor) and v.requires_grad)
        self._returned += [next(differentiable)] if torch.is_grad_enabled() else []


def _leaves(loss: Tensor) -> Iterator[Tensor]:
    """The parameters that a gradient arrives at."""
    seen = {loss.grad_fn}
    left: list[Any] = [loss.grad_fn]
    while left:
        node = left.pop()
        if node is None:
            continue
        if hasattr(node, "variable"):
            yield node.variable
        new = [following for following, _ in node.next_functions if following not in seen]
        seen.update(new)
        left += new


class _Zero(torch.autograd.Function):
    """0, whatever a tensor holds, through which a gradient of 0 goes to it."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.like = tensor.new_zeros(()).expand(tensor.shape)
        return tensor.new_zeros((), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        like: Tensor = ctx.like
        return like
