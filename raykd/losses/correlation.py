"""Correlation of single neurons of student and teacher over the tokens of a batch.

Axes: M token, D neuron (of the student: S, of the teacher: T).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import full_precision, working
from raykd.losses.shapes import check_same_shape

OFF_DIAGONAL = 0.005
"""The authors' fixed weight of correlations between different neurons."""
_CONSTANT = 1e-6


def standardised(values: Tensor) -> Tensor:
    """Every neuron with mean 0 and (unbiased) standard deviation 1 over the tokens.

    A neuron that is constant, up to rounding, becomes 0 and has no gradient.

    Args:
        values: ``[M, D]`` with M of 2 or more.
    """
    centred = values - values.mean(dim=0)
    spread = values.std(dim=0)
    moves = spread > _CONSTANT
    return torch.where(moves, centred / torch.where(moves, spread, 1.0), 0.0)


def correlation_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    divisor: float,
    off_diagonal: float = OFF_DIAGONAL,
) -> tuple[Tensor, Tensor]:
    r"""Pulls each neuron of the student towards the teacher's neuron of the same number.

    .. math::
        \sum_i (1 - C_{ii})^2 + w \sum_{i \ne j} C_{ij}^2, \quad C = A^\top B / N

    with A and B standardised over the tokens. With N = M - 1, C would be Pearson's correlation. The
    authors' code divides by M times D, which makes the second sum negligible.

    Args:
        student: Hidden states of the tokens, ``[M, D]``.
        teacher: Same shape. No gradient flows into it.
        divisor: N.
        off_diagonal: w; 0 spares the D x D matrix.

    Returns:
        The loss, and the mean correlation of the pairs (without gradient); both scalars, float32
        (float64 for float64 input). With fewer than two tokens or no neuron both are 0.

    Raises:
        ShapeError: If the shapes differ.

    References:
        Saadi et al., "Learn From One Specialized Sub-Teacher", 2023.
        https://aclanthology.org/2023.findings-emnlp.882
    """
    check_same_shape(student=student, teacher=teacher)
    tokens, neurons = student.shape
    with full_precision(student):
        if tokens < 2 or neurons == 0:
            nothing = working(student).sum() * 0.0
            return nothing, nothing.detach()
        student_values = standardised(working(student))
        teacher_values = standardised(working(teacher.detach()))
        if off_diagonal == 0.0:
            diagonal = (student_values * teacher_values).sum(dim=0) / divisor
            loss = (1 - diagonal).square().sum()
        else:
            cross = student_values.T @ teacher_values / divisor
            diagonal = cross.diagonal()
            others = cross.square().sum() - diagonal.square().sum()
            loss = (1 - diagonal).square().sum() + off_diagonal * others
        return loss, diagonal.detach().mean() * (divisor / (tokens - 1))


def neuron_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference over tokens and neurons, ``[M, D]`` each; a scalar."""
    check_same_shape(student=student, teacher=teacher)
    return (working(student) - working(teacher.detach())).square().mean()


def token_cosine(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over the tokens of 1 - cosine between the models, ``[M, D]`` each; a scalar."""
    check_same_shape(student=student, teacher=teacher)
    similar = F.cosine_similarity(working(student), working(teacher.detach()), dim=-1)
    return (1 - similar).mean()


def pearson(student: Tensor, teacher: Tensor) -> Tensor:
    """Correlation of every neuron of the student with every one of the teacher, in float64.

    Args:
        student: ``[M, S]``.
        teacher: ``[M, T]``.

    Returns:
        ``[S, T]``, float64.
    """
    student_values, teacher_values = standardised(student.double()), standardised(teacher.double())
    return student_values.T @ teacher_values / (len(student) - 1)


def best_assignment(correlations: Tensor) -> Tensor:
    """A different teacher neuron for each of the student's, with the largest sum of correlations.

    Correlations count with their sign: the loss pulls towards +1.

    Args:
        correlations: ``[S, T]`` with S of at most T.

    Returns:
        int64 ``[S]``, neurons of the teacher.
    """
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment(correlations.cpu().numpy(), maximize=True)
    return torch.as_tensor(columns, dtype=torch.int64)
