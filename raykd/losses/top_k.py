r"""Distillation from a part of the teacher's distribution: its k most likely tokens.

Two ways to deal with the rest. ``tail``: it is one more token, whose probability is what is missing
to 1; the divergence is then never above the full one at temperature 1. ``renorm``: the k tokens are
made to sum to 1, and the student's other tokens are only pushed down. For a flat teacher either
teaches little: most of its mass is in the rest.

Axes: M scored token, V vocabulary, K kept token.

References:
    DistillKit, https://github.com/arcee-ai/DistillKit
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import working

LEAST_TAIL = 1e-8
"""Least probability of the rest, on both sides."""


def top_k_divergence(
    student: Tensor,
    ids: Tensor,
    log_probabilities: Tensor,
    *,
    kind: str = "kl",
    rest: str = "tail",
    temperature: float = 1.0,
) -> Tensor:
    """Divergence between what is known of the teacher and the student.

    With a temperature other than 1 the probability of the rest is not known and taken as that of a
    single token, which is far too small; such a value is no bound of anything.

    Args:
        student: Logits, ``[..., V]``.
        ids: The teacher's tokens, ``[..., K]``.
        log_probabilities: Theirs among all V, same shape.
        kind: ``kl`` (from the teacher), ``jsd`` (equal shares) or ``tvd`` (total variation).
        rest: ``tail`` or ``renorm``.
        temperature: Softens both; no factor :math:`T^2`.

    Returns:
        Nats per row, ``[...]``.
    """
    log_q = F.log_softmax(working(student) / temperature, dim=-1).gather(-1, ids.long())
    log_p = working(log_probabilities.detach())
    if rest == "tail":
        log_p = torch.cat([log_p, _log_rest(log_p)], dim=-1)
        log_q = torch.cat([log_q, _log_rest(log_q)], dim=-1)
    if rest == "renorm" or temperature != 1.0:
        log_p = F.log_softmax(log_p / temperature, dim=-1)
    if kind == "kl":
        return (log_p.exp() * (log_p - log_q)).sum(dim=-1)
    missing = (1.0 - log_q.exp().sum(dim=-1)).clamp_min(0.0) if rest == "renorm" else 0.0
    if kind == "tvd":
        return 0.5 * ((log_p.exp() - log_q.exp()).abs().sum(dim=-1) + missing)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2.0)
    of_teacher = (log_p.exp() * (log_p - log_m)).sum(dim=-1)
    of_student = (log_q.exp() * (log_q - log_m)).sum(dim=-1) + missing * math.log(2.0)
    return 0.5 * (of_teacher + of_student)


def _log_rest(logs: Tensor) -> Tensor:
    """Logarithm of what is missing to 1, ``[..., 1]``."""
    missing = 1.0 - logs.exp().sum(dim=-1, keepdim=True)
    return missing.clamp(LEAST_TAIL, 1.0 - LEAST_TAIL).log()
