"""How ranks hold a training: weights, gradients and moments, whole or in parts.

=============  =====================================  ==========================================
..             replicated (``sharding: none``)        sharded (``sharding: full``)
=============  =====================================  ==========================================
weights        whole on every rank                    a part on each; a block is whole as it runs
gradients      whole; averaged at the end of a step   averaged block by block in each backward
                                                      pass; a part on each
moments        whole on every rank                    those of its part on each
a method's     whole on every rank                    whole on every rank
modules
=============  =====================================  ==========================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from raykd.models.sharding import (
    is_part,
    is_sharded,
    local_part,
    part_of,
    release_outer,
    whole,
)
from raykd.training.checkpoint import TrainState, weights_of
from raykd.training.device import DistributedContext
from raykd.training.gradients import average_gradients
from raykd.training.optim import gradient_norm
from raykd.training.reach import Reach

Moments = Mapping[int, Mapping[str, Tensor]]
"""What an optimizer remembers of each parameter, by its number."""


class Plan(ABC):
    """Where the parts of one training are.

    Args:
        module: Everything that is trained.
        world: The ranks.
    """

    def __init__(self, module: nn.Module, world: DistributedContext) -> None:
        self._module = module
        self._world = world
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._names, self._trained = list(trained), list(trained.values())

    @property
    @abstractmethod
    def moved(self) -> nn.Module:
        """A module with the parameters that the optimizer of this rank moves."""

    @abstractmethod
    def connected(self, loss: Tensor) -> Tensor:
        """The loss of a pass, for a backward pass that all ranks can do together."""

    @abstractmethod
    def average(self) -> None:
        """Leave the mean over ranks of the gradients in the parameters of `moved`.

        A parameter that no rank has used keeps None, so that the optimizer leaves it alone.
        """

    @abstractmethod
    def norm(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The norm of the gradients of all ranks together, a scalar.

        Args:
            parameters: Those of `moved`.
        """

    def equalise(self) -> None:
        """Give every rank the values of rank 0, where all have the same tensor."""
        state = self._module.state_dict().values()
        self._world.equalise(tensor for tensor in state if not is_part(tensor))

    def weights(self) -> dict[str, Tensor]:
        """What the training changes of the weights, complete on rank 0."""
        return {n: self._kept(local_part(t), t) for n, t in weights_of(self._module).items()}

    def moments(self, moments: Moments, parameters: Sequence[nn.Parameter]) -> Moments:
        """What an optimizer remembers, complete on rank 0.

        Args:
            moments: Of this rank.
            parameters: In the order of their numbers.
        """
        return {
            number: {
                name: self._kept(tensor, self._like(tensor.shape, parameters[number]))
                for name, tensor in own.items()
            }
            for number, own in moments.items()
        }

    def restore(
        self,
        state: TrainState | None,
        parameters: Sequence[nn.Parameter],
        remember: Callable[[Moments], None],
    ) -> None:
        """Continue from a state, which travels from rank 0 tensor by tensor.

        Args:
            state: On rank 0; what the others pass is ignored.
            parameters: In the order of their numbers.
            remember: Gives the optimizer of this rank what it remembered.
        """
        release_outer(self._module.get_submodule("model"))
        has = state is not None and self._world.rank == 0
        weights, moments = (state.weights, state.moments) if state and has else ({}, {})
        shapes_of_rank_0 = (
            _shapes(weights),
            {number: _shapes(own) for number, own in moments.items()},
        )
        shapes, shapes_of_moments = self._world.broadcast(shapes_of_rank_0)
        present = weights_of(self._module)
        with torch.no_grad():
            for name, shape in shapes.items():
                mine = present[name]
                local_part(mine).copy_(part_of(self._sent(weights.get(name), *shape), mine))
        remember(
            {
                number: {
                    name: part_of(
                        self._sent(moments.get(number, {}).get(name), *shape),
                        self._like(shape[0], parameters[number]),
                    ).clone()
                    for name, shape in own.items()
                }
                for number, own in shapes_of_moments.items()
            }
        )

    def _sent(self, tensor: Tensor | None, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """A tensor of rank 0, on the device of this one."""
        device = self._world.device
        full = torch.empty(shape, dtype=dtype, device=device)
        if tensor is not None:
            full.copy_(tensor)
        self._world.equalise([full])
        return full

    def _like(self, shape: torch.Size, parameter: nn.Parameter) -> Tensor:
        """The tensor of the module that is spread like one of a shape, of a parameter."""
        return parameter

    def _kept(self, local: Tensor, like: Tensor) -> Tensor:
        """The whole of a tensor, where this is rank 0."""
        full = whole(local, like)
        if not is_part(like):
            return full
        # A view would keep the whole of it in memory.
        return full.cpu() if self._world.rank == 0 else full.new_empty(0)


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


class Replicated(Plan):
    """Every rank has all of it; see `raykd.training.gradients` for when gradients are averaged."""

    @property
    def moved(self) -> nn.Module:
        """The module itself."""
        return self._module

    def connected(self, loss: Tensor) -> Tensor:
        """The loss: nothing is exchanged in a backward pass."""
        return loss

    def average(self) -> None:
        """See `Plan`."""
        average_gradients(self._trained, self._world)

    def norm(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """See `Plan`."""
        return gradient_norm(parameters)


class Sharded(Plan):
    """Every rank has a part of the weights of the model, and moves it.

    The optimizer sees plain tensors: parameters that have their memory in common with the parts of
    this rank. So it costs what it does elsewhere, and need not know of ranks. What a method trains
    along is small, and is whole on every rank.

    Args:
        module: Everything that is trained; its ``model`` is sharded.
        world: The ranks.
    """

    def __init__(self, module: nn.Module, world: DistributedContext) -> None:
        super().__init__(module, world)
        self._parts = [nn.Parameter(local_part(p)) if is_part(p) else p for p in self._trained]
        self._whole_of = {
            id(part): p for part, p in zip(self._parts, self._trained, strict=True) if is_part(p)
        }
        self._reach = Reach(module, module.get_submodule("model"))

    @property
    def moved(self) -> nn.Module:
        """The parts of this rank, in the order of the parameters that they are of."""
        return nn.ParameterList(self._parts)

    def connected(self, loss: Tensor) -> Tensor:
        """The loss, with 0 times what the model returned where it does not reach all blocks.

        Ranks wait for each other in every block, so that all of them must run it.
        """
        return self._reach.connected(loss)

    def average(self) -> None:
        """Hand the gradients, which the backward pass has averaged, to the parts."""
        reached = self._reach.used()
        used = self._world.sum(torch.tensor([int(name in reached) for name in self._names]))
        plain = []
        for part, parameter, count in zip(self._parts, self._trained, used.tolist(), strict=True):
            if part is parameter:
                plain.append(parameter)
                continue
            gradient, parameter.grad = parameter.grad, None
            part.grad = local_part(gradient) if gradient is not None and count else None
        average_gradients(plain, self._world)

    def norm(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """See `Plan`."""
        in_parts = [p for p in parameters if id(p) in self._whole_of]
        squared = gradient_norm(in_parts).to(self._world.device) ** 2
        self._world.sum(squared)
        in_whole = [p for p in parameters if id(p) not in self._whole_of]
        others = gradient_norm(in_whole).to(squared.device)
        return (squared + others**2).sqrt()

    def _like(self, shape: torch.Size, parameter: nn.Parameter) -> Tensor:
        """One of the shape of the part, or of the whole, is spread likewise; others are not."""
        full = self._whole_of.get(id(parameter))
        if full is None or shape not in (parameter.shape, full.shape):
            return parameter
        return full


def plan_of(module: nn.Module, world: DistributedContext) -> Plan:
    """The plan of what is trained, whose ``model`` is sharded or not.

    Args:
        module: Everything that is trained.
        world: The ranks.
    """
    model = module.get_submodule("model")
    return Sharded(module, world) if is_sharded(model) else Replicated(module, world)
