"""The precision losses are computed in: float32 at least, whatever the models run in."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

WARM = 32.0
"""Temperature up to which float32 gives divergences to about a thousandth."""


def working(values: Tensor) -> Tensor:
    """Values of any shape, half precision cast up to float32; float32 and float64 as they are."""
    return values.to(working_dtype(values))


def working_dtype(values: Tensor) -> torch.dtype:
    """float64 for float64, else float32."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def softened(values: Tensor, temperature: float) -> Tensor:
    """Scores of any shape divided by a temperature, in float64 where it is above `WARM`.

    Divergences of two nearly even distributions are differences of nearly equal numbers, and
    multiplied by the square of the temperature: in float32 nothing but rounding would be left.
    """
    if temperature > WARM:
        values = values.double()
    values = working(values)
    return values if temperature == 1 else values / temperature


def full_precision(values: Tensor) -> AbstractContextManager[object]:
    """Switches autocast off, which would run matrix products in half precision."""
    return torch.autocast(device_type=values.device.type, enabled=False)
