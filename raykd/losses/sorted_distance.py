"""The distance of two sorted distributions, which may be over different vocabularies.

Axes: M token, V vocabulary of the student, U vocabulary of the teacher.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from raykd.losses.precision import working


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
    q = working(student).softmax(dim=-1).sort(dim=-1, descending=True).values
    p = working(teacher.detach()).softmax(dim=-1).sort(dim=-1, descending=True).values
    width = max(q.shape[-1], p.shape[-1])
    q, p = (F.pad(of, (0, width - of.shape[-1])) for of in (q, p))
    return (q - p).abs().sum(dim=-1)
