"""Structured pruning: removes or reorders heads and neurons, with smaller projections, not masks.

The number of units that each block has left is written into the configuration
(`raykd.models.prunable_units.KEPT_UNITS`), so that the model is built with the same widths again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from raykd.models.families.base import family_of
from raykd.models.prunable_units import KEPT_UNITS, PrunableUnits
from raykd.models.unit_masks import (
    ZeroAttention,
    ZeroModule,
    blocks_of,
    count_units,
    head_size,
    prunable_units,
    submodule,
)

Indices = Sequence[Sequence[int]]
"""For each block the numbers of its units."""


def keep_units(model: Any, heads: Indices, neurons: Indices) -> Any:
    """Keep only the given heads and neurons, in the order given; in place.

    All of them in another order are the same function, up to rounding. A block that keeps no head
    becomes the normalisation of its input: the bias of its projection goes, too. The same holds for
    neurons.

    Args:
        model: A ``PreTrainedModel`` of a family that declares its units; changed.
        heads: Numbers of the heads to keep, per block; of those the block has now.
        neurons: Numbers of the neurons to keep, per block.

    Returns:
        The model.

    Raises:
        SpecError: The family does not say where its units are.
    """
    units, size = prunable_units(model), head_size(model)
    for block, kept in zip(blocks_of(model), heads, strict=True):
        _keep_heads(block, units, [h * size + k for h in kept for k in range(size)])
    for block, kept in zip(blocks_of(model), neurons, strict=True):
        _keep_neurons(block, units, kept)
    _note(model)
    return model


def fit_widths(model: Any) -> Any:
    """Resize a newly built model to the widths in its configuration; in place.

    Which units are dropped does not matter: weights are loaded afterwards.
    """
    counts = getattr(model.config, KEPT_UNITS, None)
    if counts is None:
        return model
    return keep_units(model, *([range(n) for n in counts[kind]] for kind in ("heads", "neurons")))


def _note(model: Any) -> None:
    """Write the current widths into the configuration where they differ from its own."""
    family = family_of(model.config)
    full = (
        model.config.num_attention_heads,
        getattr(model.config, family.fields["intermediate"][0]),
    )
    counts = count_units(model)
    if all(set(now) == {stated} for now, stated in zip(counts, full, strict=True)):
        if hasattr(model.config, KEPT_UNITS):
            delattr(model.config, KEPT_UNITS)
        return
    heads, neurons = counts
    setattr(model.config, KEPT_UNITS, {"heads": list(heads), "neurons": list(neurons)})


def _keep_heads(block: nn.Module, units: PrunableUnits, kept: Sequence[int]) -> None:
    if not isinstance(submodule(block, units.attention_output), nn.Linear):
        return
    if not kept:
        # The attention first: it may hold the projections, which then are gone with it.
        block.set_submodule(units.attention, ZeroAttention())
        if submodule(block, units.attention_output) is not None:
            block.set_submodule(units.attention_output, ZeroModule())
        return
    for name in (units.query, units.key, units.value):
        _replace(block, name, rows=kept)
    _replace(block, units.attention_output, columns=kept)


def _keep_neurons(block: nn.Module, units: PrunableUnits, kept: Sequence[int]) -> None:
    if not isinstance(submodule(block, units.feed_forward_out), nn.Linear):
        return
    if not kept:
        # The input projection is replaced, too: its output is not read, but one must exist.
        block.set_submodule(units.feed_forward_in, nn.Identity())
        block.set_submodule(units.feed_forward_out, ZeroModule())
        return
    _replace(block, units.feed_forward_in, rows=kept)
    _replace(block, units.feed_forward_out, columns=kept)


def _replace(
    block: nn.Module,
    name: str,
    *,
    rows: Sequence[int] | None = None,
    columns: Sequence[int] | None = None,
) -> None:
    """Replace a projection by one with some of its rows (outputs) or columns (inputs)."""
    old = block.get_submodule(name)
    assert isinstance(old, nn.Linear)
    weight, bias = old.weight.detach(), None if old.bias is None else old.bias.detach()
    if rows is not None:
        index = torch.tensor(rows, device=weight.device)
        weight, bias = weight[index], None if bias is None else bias[index]
    if columns is not None:
        weight = weight[:, torch.tensor(columns, device=weight.device)]
    # Without memory: the weights are given, and nothing is drawn from the generators.
    new = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    new.weight = _own(weight, old.weight)
    if bias is not None:
        new.bias = _own(bias, old.bias)
    block.set_submodule(name, new.train(old.training))


def _own(values: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(
        values.clone(memory_format=torch.contiguous_format), requires_grad=like.requires_grad
    )
