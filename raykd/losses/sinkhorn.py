"""Optimal transport between predictions of a batch: student rows may match any teacher row.

Axes: N row, C class.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from raykd.losses.precision import full_precision, working
from raykd.losses.shapes import check_same_shape

PART_BYTES = 32 << 20
"""Differences between classes of all pairs of rows that are formed at a time, in float32."""


def transport_cost(student: Tensor, teacher: Tensor, *, temperature: float = 2.0) -> Tensor:
    """Absolute difference between every student row's and every teacher row's probabilities.

    Args:
        student: Logits, ``[N, C]``.
        teacher: Logits, ``[N, C]``.
        temperature: Softens both.

    Returns:
        ``[N, N]``, rows student, columns teacher, between 0 and 2.
    """
    p = F.softmax(working(student) / temperature, dim=-1)
    q = F.softmax(working(teacher) / temperature, dim=-1)
    size = max(1, PART_BYTES // (4 * len(p) * len(q)))
    if p.shape[-1] <= size:
        return _differences(p, q)
    # Over a vocabulary, differences of all pairs of rows are formed for some classes at a time, and
    # once more for their gradient: with 256 rows and 32,128 classes all of them take 8 GiB.
    parts = zip(torch.split(p, size, -1), torch.split(q, size, -1), strict=True)
    costs = (checkpoint(_differences, *part, use_reentrant=False) for part in parts)
    total: Tensor = sum(costs, p.new_zeros(()))
    return total


def _differences(p: Tensor, q: Tensor) -> Tensor:
    return (p[:, None, :] - q[None, :, :]).abs().sum(dim=-1)


def transport_plan(
    cost: Tensor, *, epsilon: float = 0.1, iterations: int = 20, log_domain: bool = True
) -> Tensor:
    r"""How much of each student row goes to each teacher row, by Sinkhorn's iterations.

    Starts from :math:`e^{-W/\epsilon}` and divides in turn by the row sums and by the column sums,
    so that columns sum to exactly 1 and rows nearly do. The gradient runs through all iterations.

    Args:
        cost: ``[N, N]``.
        epsilon: Smooths the plan; below 0.02 only the logarithmic form is usable in float32.
        iterations: How often to divide by both.
        log_domain: Work with logarithms: equal values, and no underflow.

    Returns:
        ``[N, N]``, total mass N.
    """
    log_plan = -cost / epsilon
    if log_domain:
        for _ in range(iterations):
            log_plan = log_plan - log_plan.logsumexp(dim=1, keepdim=True)
            log_plan = log_plan - log_plan.logsumexp(dim=0, keepdim=True)
        return log_plan.exp()
    plan = log_plan.exp()
    for _ in range(iterations):
        plan = plan / plan.sum(dim=1, keepdim=True)
        plan = plan / plan.sum(dim=0, keepdim=True)
    return plan


def sinkhorn_distance(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float = 2.0,
    epsilon: float = 0.1,
    iterations: int = 20,
    log_domain: bool = True,
    reduction: str = "sum",
) -> Tensor:
    r"""Cost of moving the student's predictions of a batch onto the teacher's.

    .. math::
        \sum_{ij} P_{ij} W_{ij}

    It is not 0 for equal logits (the plan is smoothed), and as a sum it grows with the batch.

    Args:
        student: Logits, ``[N, C]``. With one class the value and its gradient are 0.
        teacher: Same shape. No gradient flows into it.
        temperature: Softens both.
        epsilon: Smooths the plan.
        iterations: Of Sinkhorn's algorithm.
        log_domain: Work with logarithms.
        reduction: ``sum``, or ``mean`` over the N rows.

    Returns:
        A scalar, float32 (float64 for float64 input).

    Raises:
        ShapeError: If the shapes differ.

    References:
        Cui et al., "Sinkhorn Distance Minimization for Knowledge Distillation", 2024.
        https://arxiv.org/abs/2402.17110
    """
    check_same_shape(student=student, teacher=teacher)
    with full_precision(student):
        cost = transport_cost(student, teacher.detach(), temperature=temperature)
        plan = transport_plan(cost, epsilon=epsilon, iterations=iterations, log_domain=log_domain)
        total = (plan * cost).sum()
    return total / len(student) if reduction == "mean" else total
