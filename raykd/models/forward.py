"""Runs a model on a batch and keeps only what was asked for."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from raykd.data.base import NO_LABEL, PADDED, Batch
from raykd.models.base import Outputs, Part
from raykd.models.families.base import TASK_KIND, ModelFamily, family_of
from raykd.models.parts import only


def forward(
    model: Any,  # a PreTrainedModel of a known family
    batch: Batch,
    *,
    hidden_states: tuple[int, ...] = (),
    attentions: tuple[int, ...] = (),
    part: Part | None = None,
) -> Outputs:
    """Logits, and the hidden states and attentions of the given layers.

    Args:
        model: The model, on the device of `batch`.
        batch: Token ids and mask.
        hidden_states: Layer numbers, 0 = embedding output.
        attentions: Block numbers, from 0. Asking for any switches the model, for good, to the
            attention that forms the probabilities, which is slower.
        part: The part of the model to run, None for the whole.

    Raises:
        IndexError: The model has no such layer.
    """
    if attentions and model.config._attn_implementation != "eager":
        model.set_attn_implementation("eager")
    family = family_of(model.config.model_type)
    marks = {"token_type_ids": batch.token_type_ids} if family.takes_token_types else {}
    of_tokens = getattr(model.config, TASK_KIND, "") == "masked_lm"
    with only(model, part) if part is not None else nullcontext():
        found = (model.base_model if of_tokens else model)(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            output_hidden_states=bool(hidden_states),
            output_attentions=bool(attentions),
            **marks,
        )
    if part is not None:
        # A part numbers its own blocks, of which there are fewer.
        hidden_states = tuple(k for k in hidden_states if k < len(found.hidden_states))
        attentions = tuple(k for k in attentions if k < len(found.attentions))
    if of_tokens:
        logits = _tokens(model, family, found.last_hidden_state, batch)
    else:
        logits = _span(found, batch) if "start_logits" in found else found.logits
    return Outputs(
        logits=logits,
        hidden_states={k: found.hidden_states[k] for k in hidden_states},
        attentions={k: found.attentions[k] for k in attentions},
    )


def _span(found: Any, batch: Batch) -> Tensor:
    """First and last token of the span, ``[B, 2, L]``, `PADDED` outside of the row."""
    both = torch.stack([found.start_logits, found.end_logits], dim=1)
    return both.masked_fill(batch.attention_mask[:, None] == 0, PADDED)


def _tokens(model: Any, family: ModelFamily, states: Tensor, batch: Batch) -> Tensor:
    """Scores of the vocabulary for tokens that have a label, ``[M, vocabulary]``.

    They are picked before the output layer: scores of all tokens would be the largest tensor.
    """
    picked = states[batch.labels != NO_LABEL]
    for part in family.token_head:
        picked = getattr(model, part)(picked)
    return picked
