"""Says which weights are read of a folder that holds some in two formats, where they differ."""

from __future__ import annotations

from pathlib import Path

import torch

from raykd.errors import DataError
from raykd.models.weight_files import SAFE, TORCH, read_file

_SMALL = 1 << 16
"""Tensors of up to so many numbers are compared: biases and norms, which any training moves."""


def other_format(name: str, folder: Path) -> tuple[str, ...]:
    """A note where a folder has ``model.safetensors`` and other weights; empty otherwise.

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
    try:
        one, two = (read_file(folder / file) for file in (SAFE, TORCH))
    except DataError:
        return "it could not be compared"
    pairs = {n: (tensor.tensor, two[n].tensor) for n, tensor in one.items() if n in two}
    if not pairs:
        return "they have no weight in common"
    for n, (read, other) in pairs.items():
        if read.shape != other.shape:
            return f"'{n}' has shape {list(read.shape)} and {list(other.shape)}"
        if read.numel() <= _SMALL and not torch.equal(read.float(), other.float()):
            return f"'{n}' has other values"
    return ""
