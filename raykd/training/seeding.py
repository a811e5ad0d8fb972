"""Randomness: seeds fixed by hash, and the state of every generator as plain data.

A trial is a function of its configuration and its seed. Whatever ran before in the process must not
matter, so every generator that a model or a data order may draw from is set here.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_SEED = 2**32
"""Seeds lie below this: NumPy's global generator takes 32 bits."""


def derive_seed(*parts: str | int | float) -> int:
    """A seed fixed by what it is for, independent of process, platform and call order.

    Args:
        parts: What the seed is for, e.g. ``(sweep seed, task, arm, trial number)``.

    Returns:
        A whole number in ``[0, 2**32)``.

    Example:
        >>> derive_seed(1, "order", 0) == derive_seed(1, "order", 0)
        True
        >>> derive_seed(1, "order") == derive_seed("1", "order")
        False
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") % MAX_SEED


def seed_everything(seed: int) -> None:
    """Set the generators of Python, NumPy and torch (CPU and every CUDA device)."""
    random.seed(seed)
    np.random.seed(seed % MAX_SEED)
    torch.manual_seed(seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomState:
    """The state of every generator of one process.

    Attributes:
        python: State of `random`, JSON-ready.
        numpy: State of NumPy's global generator, JSON-ready.
        tensors: uint8 states of torch by device kind, on the CPU.
    """

    python: list[Any]  # version, words, cached gauss: the standard library's own tuple
    numpy: list[Any]  # name, words, position, has_gauss, cached gauss
    tensors: dict[str, Tensor]


def capture_random(device: torch.device) -> RandomState:
    """The generators as they are now; CUDA's only when `device` is one."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    tensors = capture_draws(device)
    return RandomState(
        python=[version, list(words), gauss],
        numpy=[name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached)],
        tensors=tensors,
    )


def restore_random(state: RandomState, device: torch.device) -> None:
    """Put the generators back to a captured state."""
    version, words, gauss = state.python
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = state.numpy
    np.random.set_state((name, np.asarray(keys, np.uint32), position, has_gauss, cached))
    restore_draws(state.tensors, device)


def capture_draws(device: torch.device) -> dict[str, Tensor]:
    """The generators of torch, which steps draw from, by device kind; CUDA's only for such one."""
    tensors = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return tensors


def restore_draws(tensors: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the generators of torch back to what `capture_draws` gave."""
    torch.set_rng_state(tensors["cpu"])
    if device.type == "cuda" and "cuda" in tensors:
        torch.cuda.set_rng_state(tensors["cuda"], device)
