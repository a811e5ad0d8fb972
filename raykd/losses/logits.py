"""Losses on logits.

Axes: B batch, C class.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import softened, working, working_dtype
from raykd.losses.shapes import check_same_shape


def soft_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Divergence from the teacher's softened distribution to the student's.

    .. math::
        T^2 \sum_c p_c (\log p_c - \log q_c), \quad
        p = \mathrm{softmax}(z_t / T), \; q = \mathrm{softmax}(z_s / T)

    The factor :math:`T^2` keeps the size of the gradient about the same for every T, so that the
    weight of the term and the temperature can be searched independently.

    Args:
        student: Logits, float, shape ``[..., C]``.
        teacher: Logits, same shape. No gradient flows into it.
        temperature: T > 0.

    Returns:
        Nats per row, shape ``[...]``, float32 (float64 for float64 input). Zero where both agree.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> import torch
        >>> round(soft_kl(torch.zeros(1, 2), torch.tensor([[1.0986123, 0.0]])).item(), 4)
        0.1308

    References:
        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
        https://arxiv.org/abs/1503.02531
    """
    check_same_shape(student=student, teacher=teacher)
    log_q = F.log_softmax(softened(student, temperature), dim=-1)
    log_p = F.log_softmax(softened(teacher.detach(), temperature), dim=-1)
    divergence = temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1)
    return divergence.to(working_dtype(student))


def binary_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Divergence between the softened yes-or-no of every class, summed over classes.

    .. math::
        T^2 \sum_c p_c \log \frac{p_c}{q_c} + (1 - p_c) \log \frac{1 - p_c}{1 - q_c}, \quad
        p = \sigma(z_t / T), \; q = \sigma(z_s / T)

    It is `soft_kl` for classes that do not exclude each other, and takes and gives the same.

    Args:
        student: Logits of the student, shape ``[..., C]``.
        teacher: Logits of the teacher, same shape, without gradient.
        temperature: Softens every yes or no.

    Returns:
        Nats per row, shape ``[...]``; zero where both agree.

    Raises:
        ShapeError: If the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    z_s, z_t = softened(student, temperature), softened(teacher.detach(), temperature)
    yes = z_t.sigmoid() * (F.logsigmoid(z_t) - F.logsigmoid(z_s))
    no = (-z_t).sigmoid() * (F.logsigmoid(-z_t) - F.logsigmoid(-z_s))
    return (temperature**2 * (yes + no).sum(dim=-1)).to(working_dtype(student))


def soft_cross_entropy(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Cross-entropy of the student under the teacher's softened distribution, as CKD uses it.

    .. math::
        -\sum_c p_c \log q_c, \quad
        p = \mathrm{softmax}(z_t / T), \; q = \mathrm{softmax}(z_s / T)

    Two differences from `soft_kl`: there is no factor :math:`T^2`, and the teacher's entropy is not
    subtracted, so the smallest value is that entropy and not zero.

    Args:
        student: Logits, float, shape ``[..., C]``.
        teacher: Logits, same shape. No gradient flows into it.
        temperature: T > 0.

    Returns:
        Nats per row, shape ``[...]``.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> import torch
        >>> round(soft_cross_entropy(torch.zeros(1, 4), torch.rand(1, 4)).item(), 4)
        1.3863
    """
    check_same_shape(student=student, teacher=teacher)
    log_q = F.log_softmax(working(student) / temperature, dim=-1)
    p = F.softmax(working(teacher.detach()) / temperature, dim=-1)
    return -(p * log_q).sum(dim=-1)


def scaled_mse(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Squared difference of outputs divided by T: what takes the place of the above in regression.

    Args:
        student: Predicted scores, float, shape ``[..., C]``.
        teacher: Scores, same shape. No gradient flows into it.
        temperature: T > 0; the loss falls with its square.

    Returns:
        Mean over C per row, shape ``[...]``.

    Raises:
        ShapeError: If the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    return ((working(student) - working(teacher.detach())) / temperature).square().mean(dim=-1)
