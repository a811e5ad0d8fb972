"""Losses that compare features directly: Patient KD and TinyBERT, baselines of the CKD paper.

Axes: B row, L position, D width, Y matched layer, H attention head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import working
from raykd.losses.shapes import check_same_shape
from raykd.losses.token_mask import Mask, token_mask

# Masked attention scores are large negative numbers; below this they count as masked.
_MASKED_SCORE = -100.0


def pkd_all(student: Tensor, teacher: Tensor, mask: Mask | None = None) -> Tensor:
    """Mean squared difference of unit vectors at all positions.

    Args:
        student: Hidden states, ``[B, Y, L, D]``; any shape that ends in D without a mask.
        teacher: Same shape. No gradient flows into it.
        mask: Attention mask ``[B, L]``; None counts padding, as the authors' code does.

    Returns:
        A scalar.

    Raises:
        ShapeError: If the shapes differ.

    References:
        Sun et al., "Patient Knowledge Distillation for BERT Model Compression", 2019.
        https://arxiv.org/abs/1908.09355
    """
    check_same_shape(student=student, teacher=teacher)
    student_units = F.normalize(working(student), dim=-1)
    teacher_units = F.normalize(working(teacher.detach()), dim=-1)
    return _mean((student_units - teacher_units).square(), mask)


def pkd_cls(student: Tensor, teacher: Tensor) -> Tensor:
    """`pkd_all` at the first position only.

    Args:
        student: Hidden states, ``[B, Y, L, D]``.
        teacher: Same shape. No gradient flows into it.

    Returns:
        A scalar.

    Raises:
        ShapeError: If the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    return pkd_all(student[..., 0, :], teacher[..., 0, :])


def tiny_hidden(student: Tensor, teacher: Tensor, mask: Mask | None = None) -> Tensor:
    """Mean squared difference of hidden states at all positions.

    Args:
        student: Hidden states, ``[B, Y, L, D]``; any shape without a mask.
        teacher: Same shape. No gradient flows into it.
        mask: Attention mask ``[B, L]``; None counts padding, as the authors' code does.

    Returns:
        A scalar.

    Raises:
        ShapeError: If the shapes differ; the authors' code has no projection between widths.

    References:
        Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", 2020.
        https://arxiv.org/abs/1909.10351
    """
    check_same_shape(student=student, teacher=teacher)
    return _mean((working(student) - working(teacher.detach())).square(), mask)


def tiny_attention(student: Tensor, teacher: Tensor, mask: Mask | None = None) -> Tensor:
    """Mean squared difference of attention maps; scores of masked positions count as 0.

    Args:
        student: Attention scores or probabilities, ``[B, Y, H, L, L]``; any shape without a mask.
        teacher: Same shape. No gradient flows into it.
        mask: Attention mask ``[B, L]``: only pairs of tokens count; None counts padding, too.

    Returns:
        A scalar.

    Raises:
        ShapeError: If the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    squared = (_unmasked(student) - _unmasked(teacher.detach())).square()
    if mask is None:
        return squared.mean()
    return token_mask(mask).pick_pairs(squared.permute(0, 3, 4, 1, 2)).mean()


def _mean(values: Tensor, mask: Mask | None) -> Tensor:
    """Mean of ``[B, Y, L, D]`` over everything, or over the positions of a mask ``[B, L]``."""
    return values.mean() if mask is None else token_mask(mask).pick(values.transpose(1, 2)).mean()


def _unmasked(scores: Tensor) -> Tensor:
    raised = working(scores)
    return torch.where(raised <= _MASKED_SCORE, 0.0, raised)
