"""Checks of the tensors handed to a loss, with messages that name what was got and expected."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from raykd.errors import ShapeError


def check_same_shape(**tensors: Tensor) -> None:
    """Require one shape of all tensors; the keywords name them in the message.

    Raises:
        ShapeError: If two shapes differ.
    """
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    if len(set(shapes.values())) > 1:
        got = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ShapeError(f"expected equal shapes, got {got}")


def check_labels(logits: Tensor, labels: Tensor) -> None:
    """Require a label for each row of logits ``[..., V]``.

    Raises:
        ShapeError: If there are more or fewer.
    """
    if labels.shape != logits.shape[:-1]:
        raise ShapeError(
            f"expected labels {tuple(logits.shape[:-1])} for logits {tuple(logits.shape)}, "
            f"got {tuple(labels.shape)}"
        )


def check_layers(layers: Sequence[Tensor], mask: Tensor) -> None:
    """Require hidden states ``[B, L, D]`` that belong to the attention mask ``[B, L]``.

    Raises:
        ShapeError: If there is no layer, a layer is not ``[B, L, D]``, or widths differ.
    """
    if mask.dim() != 2:
        raise ShapeError(f"attention mask must be [B, L], got {tuple(mask.shape)}")
    if not layers:
        raise ShapeError("expected at least one layer of hidden states, got none")
    expected = (*mask.shape, layers[0].shape[-1])
    for number, hidden in enumerate(layers):
        if tuple(hidden.shape) != expected:
            raise ShapeError(
                f"hidden states number {number} must be [B, L, D] = {expected} "
                f"to fit the attention mask {tuple(mask.shape)}, got {tuple(hidden.shape)}"
            )
