"""Logits of generated text as rows that a loss on classes compares: by answer choice or token.

Axes: B row, C answer choice, M token with a label, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raykd.data.base import NO_LABEL, PADDED, Batch
from raykd.losses.vocabulary import Numbers, per_token
from raykd.models.base import Outputs
from raykd.models.signals.answer_choices import AnswerChoices


def at_choices(outputs: Outputs, batch: Batch) -> Tensor:
    """Scores of the answer choices of each row, ``[B, C]``.

    They are scores of single tokens: those that the choices have where they differ first, read in
    the place of the response where the model predicts that token. A row with fewer choices than
    others has `PADDED` in their place, so that its probabilities are those of its own choices.

    Args:
        outputs: Of a model that generates text.
        batch: Rows with choices.
    """
    choices, position = AnswerChoices().of(batch)
    lengths = (batch.labels != NO_LABEL).sum(dim=1)
    tokens = lengths.cumsum(dim=0) - lengths + position
    scores = at_tokens(outputs, tokens).gather(1, choices.clamp_min(0))
    return scores.masked_fill(choices == NO_LABEL, PADDED)


def at_tokens(outputs: Outputs, tokens: Tensor) -> Tensor:
    """Scores of the vocabulary for some of the M tokens, ``[m, V]``.

    Args:
        outputs: Of a model that generates text.
        tokens: Their numbers, int64 ``[m]``.
    """
    return (
        outputs.lazy_logits.picked(tokens).chunk()
        if outputs.has_lazy_logits
        else outputs.logits[tokens]
    )


def of_tokens(outputs: Outputs, tokens: Tensor, numbers: Numbers) -> Tensor:
    """A number for each of some tokens from its scores, ``[m]``; see `per_token`.

    Args:
        outputs: Of a model that generates text.
        tokens: Their numbers, int64 ``[m]``.
        numbers: What is wanted of the scores.
    """
    if outputs.has_lazy_logits:
        return per_token(outputs.lazy_logits.picked(tokens), numbers)
    return numbers(outputs.logits[tokens], slice(None))


def same_width(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """Scores over the vocabulary that both share; one of them may be padded to a rounder size."""
    width = min(one.shape[-1], two.shape[-1])
    return one[..., :width], two[..., :width]


def spread(count: int, most: int, device: torch.device) -> Tensor:
    """Numbers of at most `most` of `count` tokens, evenly spread, the first and last among them."""
    if count <= most:
        return torch.arange(count, device=device)
    return torch.arange(most, device=device) * (count - 1) // max(1, most - 1)
