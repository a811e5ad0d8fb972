"""Losses on logits with a gradient for the teacher, too: how well a student can follow it.

Axes: B batch, C class.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import working
from raykd.losses.shapes import check_same_shape


def teacher_grad_cross_entropy(
    student: Tensor, teacher: Tensor, *, temperature: float = 1.0
) -> Tensor:
    r"""Cross-entropy of the student under the teacher's softened distribution.

    .. math::
        -T^2 \sum_c p_c \log q_c, \quad
        p = \mathrm{softmax}(z_t / T), \; q = \mathrm{softmax}(z_s / T)

    For the student its gradient is that of `raykd.losses.logits.soft_kl`. For the teacher it is
    not: the teacher's entropy is not subtracted, so a teacher that is sure of what the student
    follows has a lower loss.

    Args:
        student: Logits, float, shape ``[..., C]``.
        teacher: Logits, same shape. Gradient flows into it; detach it to train a student.
        temperature: T > 0.

    Returns:
        One value per row in nats, shape ``[...]``.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> import torch
        >>> student, teacher = torch.zeros(1, 2), torch.rand(1, 2)
        >>> round(teacher_grad_cross_entropy(student, teacher, temperature=2).item(), 4)
        2.7726

    References:
        Yang, Zhang, Song, "Sparse Teachers Can Be Dense with Knowledge", 2022.
        https://arxiv.org/abs/2210.03923
    """
    check_same_shape(student=student, teacher=teacher)
    log_q = F.log_softmax(working(student) / temperature, dim=-1)
    p = F.softmax(working(teacher) / temperature, dim=-1)
    return -(temperature**2) * (p * log_q).sum(dim=-1)


def teacher_grad_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference of outputs: what takes the place of the above in regression.

    Args:
        student: Predicted scores, float, shape ``[..., C]``.
        teacher: Scores, same shape. Gradient flows into it; detach it to train a student.

    Returns:
        Mean over C per row, shape ``[...]``.

    Raises:
        ShapeError: If the shapes differ.
    """
    check_same_shape(student=student, teacher=teacher)
    return (working(student) - working(teacher)).square().mean(dim=-1)
