"""Elementwise losses on differences, with their slopes for hand-written backward passes."""

from __future__ import annotations

import torch
from torch import Tensor

from raykd.errors import SpecError

DIFFERENCE_LOSSES = ("l1loss", "l2loss", "smoothl1")
"""|d|; d squared; the smooth L1 loss with its corner at 1."""


def check_difference_loss(lossfunc: str) -> None:
    """Refuse a name that is not in `DIFFERENCE_LOSSES`.

    Raises:
        SpecError: With the names there are.
    """
    if lossfunc not in DIFFERENCE_LOSSES:
        raise SpecError(
            f"unknown loss function '{lossfunc}'", hint=f"one of: {', '.join(DIFFERENCE_LOSSES)}"
        )


def of_difference(difference: Tensor, lossfunc: str) -> Tensor:
    """The loss of every element, differentiable, same shape."""
    if lossfunc == "l1loss":
        return difference.abs()
    if lossfunc == "l2loss":
        return difference.square()
    inner = difference.clamp(-1.0, 1.0)
    return inner * (difference - 0.5 * inner)


def sum_and_slope_(difference: Tensor, lossfunc: str) -> tuple[Tensor, Tensor]:
    """The summed loss (float64 scalar) and its slope, which may overwrite `difference`."""
    if lossfunc == "l1loss":
        return difference.abs().sum().double(), difference.sign_()
    if lossfunc == "l2loss":
        flat = difference.flatten()
        return torch.dot(flat, flat).double(), difference.mul_(2.0)
    slope = difference.clamp(-1.0, 1.0)
    return (slope * (difference - 0.5 * slope)).sum().double(), slope
