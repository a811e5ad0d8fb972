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

from collections.abc import Callable

import torch
from torch import Tensor

from raykd.losses.token_mask import Mask, token_mask

WHITENING_FLOOR = 1e-8


def mixed_probabilities(
    student: Tensor, teacher: Tensor, *, alpha: float, temperature: float = 1.0
) -> Tensor:
    """What a response is sampled from: ``(1 - alpha) q + alpha p``.

    Args:
        student: Scores of the next token, ``[B, V]``.
        teacher: The teacher's, same shape.
        alpha: Share of the teacher.
        temperature: Softens both.
    """
    q, p = ((logits.float() / temperature).softmax(dim=-1) for logits in (student, teacher))
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
    reward = teacher - student
    if scaling:
        reward = reward / scaling
    return reward.clamp(-clip, clip) if clip else reward


def advantages(
    rewards: Tensor, mask: Tensor, *, gamma: float = 0.95, length_norm: bool = True
) -> Tensor:
    """Discounted rewards from each token on, divided by the number of tokens from it on.

    Args:
        rewards: Rewards, ``[B, S]``; 0 where there is no token.
        mask: 1 = token, ``[B, S]``.
        gamma: Discount.
        length_norm: Whether to divide.
    """
    total = torch.zeros_like(rewards)
    after = torch.zeros_like(rewards[:, 0])
    for place in reversed(range(rewards.shape[1])):
        after = rewards[:, place] + gamma * after
        total[:, place] = after
    if not length_norm:
        return total
    left = mask.flip(1).cumsum(dim=1).flip(1)
    return total / left.masked_fill(mask == 0, 1)


def whitened(
    values: Tensor,
    mask: Mask,
    *,
    over: str = "all",
    ranks_sum: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Values less their mean, over their spread, without gradient.

    Args:
        values: ``[B, S]``.
        mask: 1 = token.
        over: ``all`` positions, as the authors' code does, so that the result depends on how far
            responses are padded; or ``valid`` ones.
        ranks_sum: Adds numbers up over several ranks, each of which has some of the responses; mean
            and spread are those of all of them. None for one rank.
    """
    values = values.detach()
    counted = values if over == "all" else token_mask(mask).pick(values)
    if ranks_sum is None:
        spread = (counted.var(unbiased=False) + WHITENING_FLOOR).sqrt()
        return (values - counted.mean()) / spread
    exact = counted.double()
    number = torch.full_like(exact.sum(), float(exact.numel()))
    count, total, squares = ranks_sum(torch.stack([number, exact.sum(), exact.square().sum()]))
    mean = total / count
    variance = (squares / count - mean.square()).clamp_min(0.0)
    scaled: Tensor = (values - mean) / (variance + WHITENING_FLOOR).sqrt()
    return scaled.to(values.dtype)


def clipped_loss(
    new: Tensor, old: Tensor, advantage: Tensor, weight: Tensor, *, cliprange: float
) -> Tensor:
    """Clipped policy gradient of each token; all arguments have the shape of the result.

    Args:
        new: Log-probabilities of the tokens to the student now, with gradient.
        old: To the student that sampled.
        advantage: Whitened.
        weight: Of importance; it is inside what is clipped.
        cliprange: How far the ratio may be from 1 before its gradient is cut.
    """
    ratio = (new - old).exp() * weight
    free = -advantage * ratio
    bound = -advantage * ratio.clamp(1.0 - cliprange, 1.0 + cliprange)
    return torch.maximum(free, bound)
