"""Distillation from a part of the teacher's distribution: its k most likely tokens.

The rest is one more token, whose probability is what is missing to 1; the divergence is then never
above the full one. For a flat teacher it teaches little: most of its mass is in the rest.

Axes: M scored token, V vocabulary, K kept token.

References:
    DistillKit, https://github.com/arcee-ai/DistillKit
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import working

NONE = -1e4
"""The logarithm of a probability of 0: that of a token that is not there."""
LEAST_TAIL = 1e-8
"""Least probability of the rest, on both sides."""


def top_k_divergence(student: Tensor, ids: Tensor, log_probabilities: Tensor) -> Tensor:
    """Divergence from what is known of the teacher to the student, at temperature 1.

    Args:
        student: Logits, ``[..., V]``.
        ids: The teacher's tokens, ``[..., K]``.
        log_probabilities: Theirs among all V, same shape; `NONE` or less for a place without one.

    Returns:
        Nats per row, ``[...]``.
    """
    log_q = F.log_softmax(working(student), dim=-1).gather(-1, ids.long())
    log_p = working(log_probabilities.detach()).clamp(min=NONE)
    log_q = log_q.masked_fill(log_p <= NONE, NONE)
    log_p = torch.cat([log_p, _log_rest(log_p)], dim=-1)
    log_q = torch.cat([log_q, _log_rest(log_q)], dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def _log_rest(logs: Tensor) -> Tensor:
    """Logarithm of what is missing to 1, ``[..., 1]``."""
    missing = 1.0 - logs.exp().sum(dim=-1, keepdim=True)
    return missing.clamp(LEAST_TAIL, 1.0 - LEAST_TAIL).log()
