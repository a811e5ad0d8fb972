"""Masks on the heads and feed-forward neurons of a model, and the sensitivity of losses to them.

Axes: Y block, A head, I neuron, B batch, L position, K kept heads or neurons of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from raykd.data.base import Batch
from raykd.errors import SpecError, TeacherError
from raykd.models.families.base import family_of
from raykd.models.inference import evaluation_mode
from raykd.models.prunable_units import PrunableUnits
from raykd.models.unit_selection import UnitScores


class ZeroModule(nn.Module):
    """Replaces a projection whose heads or neurons were all pruned: returns zeros.

    The block then is the normalisation of its input.
    """

    def forward(self, values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Zeros of the shape of the input."""
        return torch.zeros_like(values)


class ZeroAttention(ZeroModule):
    """Replaces the attention of a block without heads."""

    def forward(self, values: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Zeros, and no attention probabilities."""
        return super().forward(values), None


def prunable_units(model: Any) -> PrunableUnits:
    """Where the prunable units of a model are.

    Raises:
        SpecError: Its family does not say it.
    """
    family = family_of(model.config)
    if family.units is None:
        raise SpecError(
            f"heads and neurons of a model of the family '{family.name}' cannot be told apart",
            hint="choose a model of another family",
        )
    return family.units


def blocks_of(model: Any) -> list[nn.Module]:
    """The blocks of a model, in order."""
    prefix = family_of(model.config).layer_prefix
    return list(model.get_submodule(prefix.removesuffix(".")))


def head_size(model: Any) -> int:
    """Width of one head."""
    size: int = model.config.hidden_size // model.config.num_attention_heads
    return size


def count_units(model: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Heads and neurons that each block has, ``[Y]`` and ``[Y]``; 0 for an emptied block."""
    units, size = prunable_units(model), head_size(model)
    blocks = blocks_of(model)
    heads = (_width(submodule(block, units.attention_output)) // size for block in blocks)
    neurons = (_width(submodule(block, units.feed_forward_out)) for block in blocks)
    return tuple(heads), tuple(neurons)


def submodule(block: nn.Module, name: str) -> nn.Module | None:
    """A submodule of a block, None where pruning the block removed it."""
    try:
        return block.get_submodule(name)
    except AttributeError:
        return None


def _width(projection: nn.Module | None) -> int:
    return projection.in_features if isinstance(projection, nn.Linear) else 0


@contextmanager
def masked(
    model: Any,
    *,
    heads: Sequence[Tensor] | Tensor | None = None,
    neurons: Sequence[Tensor] | Tensor | None = None,
) -> Iterator[None]:
    """Multiply the outputs of heads and neurons by masks within the context.

    A head's mask multiplies its weighted values before they are projected back; a neuron's mask
    multiplies its activation. A mask of zeros leaves the bias of the projection, unlike a block
    that was emptied by `raykd.models.structured_pruning.keep_units`. Gradients flow into the masks.

    Args:
        model: A model of a family that declares its units.
        heads: Masks of the heads, one ``[A]`` per block (``[Y, A]`` in one tensor), None = ones.
        neurons: Masks of the neurons, one ``[I]`` per block, None = ones.

    Raises:
        SpecError: The family does not say where its units are.
    """
    units, size = prunable_units(model), head_size(model)
    with ExitStack() as hooks:
        for number, block in enumerate(blocks_of(model)):
            if heads is not None:
                _scale_input(submodule(block, units.attention_output), heads[number], size, hooks)
            if neurons is not None:
                _scale_input(submodule(block, units.feed_forward_out), neurons[number], 1, hooks)
        yield


def _scale_input(module: nn.Module | None, mask: Tensor, width: int, hooks: ExitStack) -> None:
    if not isinstance(module, nn.Linear):
        return

    def scale(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        wide = mask.repeat_interleave(width) if width > 1 else mask
        return (args[0] * wide.to(args[0].dtype), *args[1:])

    hooks.callback(module.register_forward_pre_hook(scale).remove)


def sensitivity(
    model: Any,
    batches: Iterable[Batch],
    losses: Callable[[Batch], Mapping[str, Tensor]],
) -> dict[str, UnitScores]:
    r"""How much each of several losses would change with the mask of a head or neuron.

    .. math::
        \sum_{b} \left| \partial L_b / \partial m_u \right|, \quad m_u = 1

    The absolute value is taken per batch, so sums over other batches of the same rows differ. The
    model runs without dropout, and only the masks collect gradients, which saves the memory of the
    weights' gradients.

    Args:
        model: A model whose blocks all have the same heads and neurons.
        batches: The rows, batch by batch, on the model's device.
        losses: Called in the context of the masks: losses of a batch by name, scalars that depend
            on what the model puts out. The names are the same for every batch.

    Returns:
        Scores by the name of the loss, float32.

    Raises:
        SpecError: The family does not say where its units are, or blocks differ.
        TeacherError: A gradient is not finite, or there was no batch.
    """
    masks = _ones(model)
    sums: dict[str, list[Tensor]] = {}
    with _still(model), masked(model, heads=masks[0], neurons=masks[1]):
        for batch in batches:
            by_name = losses(batch)
            left = len(by_name)
            for name, loss in by_name.items():
                left -= 1
                grads = torch.autograd.grad(loss, masks, retain_graph=left > 0)
                kept = sums.setdefault(name, [torch.zeros_like(mask) for mask in masks])
                for total, grad in zip(kept, grads, strict=True):
                    total += grad.abs()
    if not sums:
        raise TeacherError("there is no row to score heads and neurons on")
    return {name: _checked(*kept) for name, kept in sums.items()}


def _ones(model: Any) -> tuple[Tensor, Tensor]:
    heads, neurons = count_units(model)
    if len(set(heads)) > 1 or len(set(neurons)) > 1:
        raise SpecError(
            "heads and neurons can be scored only where all blocks have equally many, "
            f"got {list(heads)} heads and {list(neurons)} neurons",
            hint="choose a model that was not pruned before",
        )
    device = next(model.parameters()).device

    def ones(count: int) -> Tensor:
        return torch.ones(len(heads), count, device=device, requires_grad=True)

    return ones(heads[0]), ones(neurons[0])


@contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode and with frozen weights; afterwards as it was."""
    trained = [p for p in model.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        with evaluation_mode(model):
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _checked(heads: Tensor, neurons: Tensor) -> UnitScores:
    for scores in (heads, neurons):
        if not torch.isfinite(scores).all():
            raise TeacherError(
                "the loss of the teacher, by its heads and neurons, has gradients that are NaN or "
                "infinite",
                hint="check its checkpoint and learning rate",
            )
    return UnitScores(heads=heads.detach().cpu().numpy(), neurons=neurons.detach().cpu().numpy())
