"""The distance of two sorted distributions, which may be over different vocabularies.

Axes: M token, V vocabulary of the student, U vocabulary of the teacher.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import softened, working

LEAST = 1e-8
"""Smallest probability of a token inside a span, as in the authors' code."""


def sorted_distance(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Sum of absolute differences of probabilities, the largest against the largest and so on.

    .. math:: \sum_i |q_{\sigma(i)} - p_{\tau(i)}|

    The shorter one is padded with zeros. It lies in [0, 2].

    Args:
        student: Logits, ``[..., V]``.
        teacher: Logits, ``[..., U]``. No gradient flows into it.

    Returns:
        Per token, ``[...]``.

    References:
        Boizard et al., "Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss
        for LLMs", 2024. https://arxiv.org/abs/2402.12030
    """
    return _sorted_difference(
        working(student).softmax(dim=-1), working(teacher.detach()).softmax(dim=-1)
    )


def span_distance(
    student: Tensor,
    teacher: Tensor,
    rests: tuple[Tensor, Tensor],
    temperatures: tuple[float, float] = (1.0, 1.0),
) -> Tensor:
    r"""The same for spans: a distribution of the first token times the probability of the others.

    .. math:: \sum_i |a\, q_{\sigma(i)} - b\, p_{\tau(i)}|

    By the chain rule, that is the probability of the whole span where the first token is the one
    that is there. It is no probability of other spans: their further tokens are not known.

    Args:
        student: Logits of the first token, ``[..., V]``.
        teacher: Logits of the teacher's first token, ``[..., U]``. No gradient flows into it.
        rests: Of student and teacher, the probability of the further tokens of the span, each after
            those before it, ``[...]``; 1 where there are none.
        temperatures: What logits are divided by.

    Returns:
        Per span, ``[...]``.

    References:
        Patino et al., "Unlocking On-Policy Distillation for Any Model Family", 2025, as in
        ``trl.experimental.gold`` with ``use_extended_uld``.
        https://huggingface.co/spaces/HuggingFaceH4/on-policy-distillation
    """
    q = softened(student, temperatures[0]).softmax(dim=-1) * rests[0].unsqueeze(-1)
    p = softened(teacher.detach(), temperatures[1]).softmax(dim=-1) * rests[1].unsqueeze(-1)
    return _sorted_difference(q, p)


def token_log_probability(scores: Tensor, ids: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-probability of each token, ``[M]``, and no less than that of `LEAST`.

    Args:
        scores: Logits, ``[M, V]``.
        ids: The tokens, int64 ``[M]``.
        temperature: What logits are divided by.
    """
    chosen = -F.cross_entropy(softened(scores, temperature), ids, reduction="none")
    return chosen.clamp_min(math.log(LEAST))


def _sorted_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """The sum of absolute differences of two lists in falling order, the shorter with zeros."""
    q, p = (of.sort(dim=-1, descending=True).values for of in (student, teacher))
    width = max(q.shape[-1], p.shape[-1])
    q, p = (F.pad(of, (0, width - of.shape[-1])) for of in (q, p))
    return (q - p).abs().sum(dim=-1)
