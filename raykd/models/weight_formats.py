"""Says which weights are read of a folder that holds some in two formats, where they differ."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from raykd.models.weight_files import SAFE, TORCH

_SMALL = 1 << 16
"""Tensors of up to so many numbers are compared: biases and norms, which any training moves."""


def other_format(name: str, folder: Path) -> tuple[str, ...]:
    """A note where a folder has both ``model.safetensors`` and other weights; empty otherwise.

    Neither file is read whole: names, shapes and the numbers of small tensors are compared. Names
    that one of them lacks are no difference, since tied weights are saved once or twice.

    Args:
        name: The model in the user's words.
        folder: Where its files are.
    """
    if not ((folder / SAFE).is_file() and (folder / TORCH).is_file()):
        return ()
    if not (how := _difference(folder)):
        return ()
    return (f"'{name}' holds both {SAFE}, which is read, and {TORCH}, which is not: {how}",)


def _difference(folder: Path) -> str:
    from safetensors import safe_open

    try:
        other: dict[str, Tensor] = torch.load(
            folder / TORCH, map_location="cpu", weights_only=True, mmap=True
        )
        with safe_open(folder / SAFE, framework="pt") as file:
            shared = [n for n in file.keys() if n in other]  # noqa: SIM118  # no mapping
            shapes = {n: list(file.get_slice(n).get_shape()) for n in shared}
            return _first_difference(other, shapes, file.get_tensor)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, pickle.UnpicklingError):
        return "it could not be compared"


def _first_difference(
    other: dict[str, Tensor], shapes: dict[str, list[int]], read: Callable[[str], Tensor]
) -> str:
    if not shapes:
        return "they have no weight in common"
    for n, shape in shapes.items():
        if list(other[n].shape) != shape:
            return f"'{n}' has shape {shape} and {list(other[n].shape)}"
    for n in shapes:
        if other[n].numel() <= _SMALL and not torch.equal(other[n].float(), read(n).float()):
            return f"'{n}' has other values"
    return ""
