"""MiniLLM: the reverse divergence of whole responses, minimised by policy gradient.

A response is sampled from a mixture of student and teacher, so that a bad student is not rewarded
for what it likes; weights of importance correct for that. The reward of a token is how much
likelier the teacher finds it than the student. Rewards to come are divided by the number of tokens
to come, because long responses would else collect more of them. What the next token alone decides
is minimised exactly instead of by sampling.

Gu et al., "MiniLLM", 2023, https://arxiv.org/abs/2306.08543, as in the authors' code.

Axes: B response, S position of a response, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WHITENING_FLOOR = 1e-8


def filtered(logits: Tensor, *, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Scores with minus infinity for tokens that are not to be sampled.

    Args:
        logits: ``[..., V]``.
        top_k: So many of the most likely tokens stay; 0 = all.
        top_p: The most likely tokens stay until their probability reaches this.
    """
    if top_k:
        least = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if top_p < 1.0:
        ordered, places = logits.sort(dim=-1)
        # From the least likely upwards: what goes is below 1 - top_p all together.
        gone = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1.0 - top_p
        gone[..., -1] = False
        logits = logits.masked_fill(gone.scatter(-1, places, gone), -torch.inf)
    return logits


def mixed_probabilities(
    student: Tensor,
    teacher: Tensor,
    *,
    alpha: float,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Tensor:
    """What a response is sampled from: ``(1 - alpha) q + alpha p``.

    Args:
        student: Scores of the next token, ``[B, V]``.
        teacher: The teacher's, same shape.
        alpha: Share of the teacher.
        temperature: Softens both, before they are filtered.
        top_k: See `filtered`.
        top_p: See `filtered`.
    """
    q, p = (
        filtered(logits.float() / temperature, top_k=top_k, top_p=top_p).softmax(dim=-1)
        for logits in (student, teacher)
    )
    return (1.0 - alpha) * q + alpha * p


def importance(student: Tensor, teacher: Tensor, *, alpha: float) -> Tensor:
    """How much likelier a token is to the student than to the mixture that it came from.

    Args:
        student: Log-probability of each token to the student that sampled, ``[B, S]``.
        teacher: To the teacher, at the same temperature.
        alpha: Share of the teacher in the mixture.

    Returns:
        ``[B, S]``, at most ``1 / (1 - alpha)``.
    """
    if alpha == 0:
        return torch.ones_like(student)
    return student.exp() / ((1.0 - alpha) * student.exp() + alpha * teacher.exp())


def rewards(
    teacher: Tensor, student: Tensor, *, scaling: float | None = None, clip: float | None = None
) -> Tensor:
    """How much likelier the teacher finds each token, ``[B, S]``.

    Args:
        teacher: Its log-probabilities at temperature 1, ``[B, S]``; 0 where there is no token.
        student: Those of the student that sampled.
        scaling: Rewards are divided by it.
        clip: Largest size after that; None or 0 = any.
    """
    found = teacher - student
    if scaling:
        found = found / scaling
    return found.clamp(-clip, clip) if clip else found


def advantages(
    found: Tensor, mask: Tensor, *, gamma: float = 0.95, length_norm: bool = True
) -> Tensor:
    """Discounted rewards from each token on, divided by the number of tokens from it on.

    Args:
        found: Rewards, ``[B, S]``; 0 where there is no token.
        mask: 1 = token, ``[B, S]``.
        gamma: Discount.
        length_norm: Whether to divide.
    """
    total = torch.zeros_like(found)
    after = torch.zeros_like(found[:, 0])
    for place in reversed(range(found.shape[1])):
        after = found[:, place] + gamma * after
        total[:, place] = after
    if not length_norm:
        return total
    left = mask.flip(1).cumsum(dim=1).flip(1)
    return total / left.masked_fill(mask == 0, 1)


def whitened(values: Tensor, mask: Tensor, *, over: str = "all") -> Tensor:
    """Values less their mean, over their spread, without gradient.

    Args:
        values: ``[B, S]``.
        mask: 1 = token.
        over: ``all`` positions, as the authors' code does, so that the result depends on how far
            responses are padded; or ``valid`` ones.
    """
    values = values.detach()
    counted = values if over == "all" else values[mask.bool()]
    spread = (counted.var(unbiased=False) + WHITENING_FLOOR).sqrt()
    return (values - counted.mean()) / spread


def policy_loss(
    new: Tensor, old: Tensor, advantage: Tensor, weight: Tensor, mask: Tensor, *, cliprange: float
) -> Tensor:
    """Clipped policy gradient, mean over tokens, a scalar.

    Args:
        new: Log-probabilities of the tokens to the student now, ``[B, S]``, with gradient.
        old: To the student that sampled.
        advantage: Whitened.
        weight: Of importance; it is inside what is clipped.
        mask: 1 = token.
        cliprange: How far the ratio may be from 1 before its gradient is cut.
    """
    ratio = ((new - old) * mask).exp() * weight
    free = -advantage * ratio
    bound = -advantage * ratio.clamp(1.0 - cliprange, 1.0 + cliprange)
    return (torch.maximum(free, bound) * mask).sum() / mask.sum()


def chosen_log_probabilities(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Log-probability of each token, ``[B, S]``, 0 where there is none.

    Args:
        logits: ``[B, S, V]``.
        ids: ``[B, S]``.
        mask: 1 = token.
    """
    found = F.log_softmax(logits.float(), dim=-1).gather(-1, ids[..., None]).squeeze(-1)
    return found.masked_fill(mask == 0, 0.0)


def sampled_divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Estimate of the reverse divergence from samples of the student: ``exp(d) - 1 - d``.

    Args:
        teacher: Log-probabilities of the tokens, ``[B, S]``; 0 where there is none.
        student: The same.

    Returns:
        ``[B, S]``, never negative.
    """
    difference = teacher - student
    return difference.exp() - 1.0 - difference
