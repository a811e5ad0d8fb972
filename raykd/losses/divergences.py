"""Divergences between a teacher's and a student's distribution over a vocabulary.

All of them give nats per row; a batch takes the mean over its scored tokens, never a mean of means
of sequences. Mixtures are formed from logarithms. A token that the student cannot give (a logit of
minus infinity) is left out of the sums, as the authors of MiniLLM do.

Axes: M scored token, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import softened, working_dtype
from raykd.losses.shapes import check_same_shape


def forward_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Divergence from the teacher to the student: :math:`\sum_v p_v (\log p_v - \log q_v)`.

    Its gradient is that of the soft cross-entropy that word-level distillation minimises; unlike
    it, it is 0 where both agree.

    Args:
        student: Logits, ``[..., V]``.
        teacher: Logits, same shape. No gradient flows into it.
        temperature: Softens both. There is no factor :math:`T^2`.

    Returns:
        Nats per row, ``[...]``.

    Raises:
        ShapeError: If the shapes differ.

    References:
        Gu et al., "MiniLLM", 2023. https://arxiv.org/abs/2306.08543
    """
    log_q, log_p = _logs(student, teacher, temperature)
    return _expected(log_p, log_p - log_q, log_q)


def reverse_kl(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    r"""Divergence from the student to the teacher: :math:`\sum_v q_v (\log q_v - \log p_v)`.

    Arguments, result and errors are those of `forward_kl`.
    """
    log_q, log_p = _logs(student, teacher, temperature)
    return _expected(log_q, log_q - log_p, log_q)


def jensen_shannon(
    student: Tensor, teacher: Tensor, *, beta: float, temperature: float = 1.0
) -> Tensor:
    r"""Generalised Jensen-Shannon divergence of GKD.

    .. math::
        \beta\, KL(p, m) + (1 - \beta)\, KL(q, m), \quad m = \beta p + (1 - \beta) q

    At the ends it is defined as `forward_kl` (0) and `reverse_kl` (1), to which it does not tend:
    near an end it goes to 0. Divided by :math:`\beta (1 - \beta)` it tends to both.

    Args:
        student: Logits, ``[..., V]``.
        teacher: Logits, same shape. No gradient flows into it.
        beta: Weight of the teacher in the mixture, in [0, 1].
        temperature: Softens both.

    Returns:
        Nats per row, ``[...]``.

    References:
        Agarwal et al., "On-Policy Distillation of Language Models", 2023.
        https://arxiv.org/abs/2306.13649
    """
    if beta == 0:
        return forward_kl(student, teacher, temperature=temperature)
    if beta == 1:
        return reverse_kl(student, teacher, temperature=temperature)
    log_q, log_p = _logs(student, teacher, temperature)
    log_m = _mixed(log_p, log_q, beta)
    of_teacher = _expected(log_p, log_p - log_m, log_q)
    of_student = _expected(log_q, log_q - log_m, log_q)
    return beta * of_teacher + (1 - beta) * of_student


def skew_forward_kl(
    student: Tensor, teacher: Tensor, *, lam: float, temperature: float = 1.0
) -> Tensor:
    r"""Skewed forward divergence of DistiLLM: :math:`KL(p, \lambda p + (1 - \lambda) q)`.

    Args:
        student: Logits, ``[..., V]``.
        teacher: Logits, same shape. No gradient flows into it.
        lam: Share of the teacher in the mixture, in [0, 1); 0 is `forward_kl`.
        temperature: Softens both.

    Returns:
        Nats per row, ``[...]``.

    References:
        Ko et al., "DistiLLM", 2024. https://arxiv.org/abs/2402.03898
    """
    log_q, log_p = _logs(student, teacher, temperature)
    return _expected(log_p, log_p - _mixed(log_p, log_q, lam), log_q)


def skew_reverse_kl(
    student: Tensor, teacher: Tensor, *, lam: float, temperature: float = 1.0
) -> Tensor:
    r"""Skewed reverse divergence of DistiLLM: :math:`KL(q, (1 - \lambda) p + \lambda q)`.

    Arguments, result and errors are those of `skew_forward_kl`; `lam` is the share of the student.
    """
    log_q, log_p = _logs(student, teacher, temperature)
    return _expected(log_q, log_q - _mixed(log_q, log_p, lam), log_q)


def total_variation(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Half the sum of absolute differences of probabilities, in [0, 1].

    Arguments, result and errors are those of `forward_kl`.
    """
    log_q, log_p = _logs(student, teacher, temperature)
    differences = (log_p.exp() - log_q.exp()).abs()
    return 0.5 * differences.masked_fill(log_q.isneginf(), 0.0).sum(dim=-1)


def divergence(
    kind: str, *, beta: float = 0.5, lam: float = 0.1, temperature: float = 1.0
) -> Callable[[Tensor, Tensor], Tensor]:
    """One of the divergences of this file, by the name that search spaces use.

    Args:
        kind: ``forward_kl``, ``reverse_kl``, ``jsd``, ``skew_forward_kl``, ``skew_reverse_kl`` or
            ``total_variation``.
        beta: For ``jsd``.
        lam: For the skewed ones.
        temperature: Softens both.

    Returns:
        A function of student and teacher logits, both ``[..., V]``.

    Raises:
        KeyError: There is no divergence of this name.
    """
    heat = temperature
    made: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "forward_kl": lambda s, t: forward_kl(s, t, temperature=heat),
        "reverse_kl": lambda s, t: reverse_kl(s, t, temperature=heat),
        "jsd": lambda s, t: jensen_shannon(s, t, beta=beta, temperature=heat),
        "skew_forward_kl": lambda s, t: skew_forward_kl(s, t, lam=lam, temperature=heat),
        "skew_reverse_kl": lambda s, t: skew_reverse_kl(s, t, lam=lam, temperature=heat),
        "total_variation": lambda s, t: total_variation(s, t, temperature=heat),
    }
    measure = made[kind]
    return lambda s, t: measure(s, t).to(working_dtype(s))


def _logs(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities of student and teacher."""
    check_same_shape(student=student, teacher=teacher)
    log_q = F.log_softmax(softened(student, temperature), dim=-1)
    log_p = F.log_softmax(softened(teacher.detach(), temperature), dim=-1)
    return log_q, log_p


def _mixed(log_a: Tensor, log_b: Tensor, share: float) -> Tensor:
    """Logarithm of ``share * a + (1 - share) * b``."""
    if share == 0:
        return log_b
    return torch.logaddexp(log_a + math.log(share), log_b + math.log1p(-share))


def _expected(log_weights: Tensor, values: Tensor, log_q: Tensor) -> Tensor:
    """Mean of values under a distribution, without tokens that the student cannot give."""
    # Left out before the product: 0 times infinity has no gradient.
    return (log_weights.exp() * values.masked_fill(log_q.isneginf(), 0.0)).sum(dim=-1)
