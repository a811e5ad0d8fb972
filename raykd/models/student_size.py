"""Students of several sizes: some blocks of the one that is there, and some heads of a block."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from raykd.models.base import ModelDims, RandomInitConfig, Subnet
from raykd.models.layer_selection import select_layers
from raykd.models.model_factory import ModelFactory

_Sizes = TypeVar("_Sizes", ModelDims, RandomInitConfig)


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


def of_width(student: ModelFactory, heads: int | None) -> ModelFactory:
    """The student with fewer heads of the same size; its width and neurons shrink with them.

    Args:
        student: How the whole one begins, with random weights.
        heads: Of a block; None for all.
    """
    whole = student.random_init
    if heads is None or whole is None or heads == whole.heads:
        return student
    made = _narrower(whole, heads)
    return replace(student, dims=smaller(student.dims, None, heads), random_init=made)


def smaller(whole: ModelDims, layers: int | None, heads: int | None) -> ModelDims:
    """The dimensions of a student of a size.

    Args:
        whole: Those of the whole one.
        layers: Blocks that stay; None for all.
        heads: Heads of a block that stay; None for all.
    """
    dims = whole if layers is None else replace(whole, layers=layers)
    if heads is None or heads == whole.heads:
        return dims
    return _narrower(dims, heads)


def _narrower(whole: _Sizes, heads: int) -> _Sizes:
    """Sizes with fewer heads, each as wide as before; neurons shrink with them."""
    neurons = whole.intermediate and max(1, whole.intermediate * heads // whole.heads)
    return replace(
        whole, heads=heads, hidden=whole.hidden // whole.heads * heads, intermediate=neurons
    )
