"""Students of several sizes: some blocks of the student that is there, spread evenly."""

from __future__ import annotations

from dataclasses import replace

from raykd.models.base import Subnet
from raykd.models.layer_selection import select_layers
from raykd.models.model_factory import ModelFactory


def kept_blocks(layers: int, kept: int) -> tuple[int, ...]:
    """The blocks that stay, spread evenly, the last one among them.

    Args:
        layers: Blocks of the whole student.
        kept: How many of them stay, at most `layers`.
    """
    return Subnet(depth=kept / layers).blocks(layers)


def of_size(student: ModelFactory, kept: int | None) -> ModelFactory:
    """The student with fewer blocks; it begins with the weights of those that stay.

    Random weights are drawn for that size.

    Args:
        student: How the whole one begins.
        kept: How many blocks stay; None for all.

    Raises:
        SpecError: Its blocks cannot be taken one by one.
    """
    if kept is None or kept == student.dims.layers:
        return student
    dims = replace(student.dims, layers=kept)
    if student.random_init is not None:
        return replace(student, dims=dims, random_init=replace(student.random_init, layers=kept))
    assert student.state is not None
    blocks = kept_blocks(student.dims.layers, kept)
    return replace(student, dims=dims, state=select_layers(student.state, blocks, keep_head=True))
