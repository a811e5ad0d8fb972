"""Runs a subnet of a model: fewer heads and neurons, fewer blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from raykd.models.base import Subnet
from raykd.models.families.base import family_of
from raykd.models.unit_masks import blocks_of, count_units, masked


@contextmanager
def run_subnet(model: Any, subnet: Subnet) -> Iterator[None]:
    """The model runs as a subnet within the context.

    Heads and neurons beyond the width are multiplied by 0: the same function as without them, at
    the cost of the whole width. Blocks beyond the depth do not run.

    Args:
        model: A model of a family that declares its units, with equal blocks.
        subnet: The subnet.

    Raises:
        SpecError: The family does not say where its units are.
    """
    with ExitStack() as stack:
        if subnet.width < 1:
            stack.enter_context(_narrow(model, subnet.width))
        if subnet.depth < 1:
            stack.enter_context(_shallow(model, subnet))
        yield


@contextmanager
def _narrow(model: Any, width: float) -> Iterator[None]:
    device = next(model.parameters()).device
    heads, neurons = (
        [(torch.arange(n, device=device) < math.ceil(n * width)).float() for n in counts]
        for counts in count_units(model)
    )
    with masked(model, heads=heads, neurons=neurons):
        yield


@contextmanager
def _shallow(model: Any, subnet: Subnet) -> Iterator[None]:
    blocks = blocks_of(model)
    path = family_of(model.config).layer_prefix.removesuffix(".")
    holder, _, name = path.rpartition(".")
    owner = model.get_submodule(holder)
    whole = getattr(owner, name)
    setattr(owner, name, nn.ModuleList([blocks[k] for k in subnet.blocks(len(blocks))]))
    try:
        yield
    finally:
        setattr(owner, name, whole)
