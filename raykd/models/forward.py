"""Runs a model on a batch and keeps only what was asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from raykd.data.base import PADDED, Batch
from raykd.models.base import Outputs, Part
from raykd.models.families.base import family_of


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
    assert part is None  # TODO parts
    if attentions and model.config._attn_implementation != "eager":
        model.set_attn_implementation("eager")
    marks = {}
    if family_of(model.config.model_type).takes_token_types:
        marks["token_type_ids"] = batch.token_type_ids
    found = model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        output_hidden_states=bool(hidden_states),
        output_attentions=bool(attentions),
        **marks,
    )
    return Outputs(
        logits=_span(found, batch) if "start_logits" in found else found.logits,
        hidden_states={k: found.hidden_states[k] for k in hidden_states},
        attentions={k: found.attentions[k] for k in attentions},
    )


def _span(found: Any, batch: Batch) -> Tensor:
    """First and last token of the span, ``[B, 2, L]``, `PADDED` outside of the row."""
    both = torch.stack([found.start_logits, found.end_logits], dim=1)
    return both.masked_fill(batch.attention_mask[:, None] == 0, PADDED)
