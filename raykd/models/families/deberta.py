"""DeBERTa (He et al., 2021, https://arxiv.org/abs/2006.03654): positions in the attention."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from raykd.models.families.base import ModelFamily


def with_low_precision(model: Any) -> None:
    """Let the attention of a DeBERTa run in bf16, in place.

    The library adds float32 biases to queries in bf16, and then hides padding with the least
    float32, which scores in bf16 cannot hold: every pass ends in an error.
    """
    from transformers.models.deberta.modeling_deberta import DisentangledSelfAttention

    for module in model.modules():
        if type(module) is DisentangledSelfAttention:
            module.__class__ = _attention()


@functools.cache
def _attention() -> type:
    """The library's attention whose biases have the type of what they are added to."""
    from transformers.models.deberta.modeling_deberta import DisentangledSelfAttention

    biases = {name: property(functools.partial(_bias, name=name)) for name in ("q_bias", "v_bias")}
    return type("LowPrecisionAttention", (DisentangledSelfAttention,), biases)


def _bias(module: nn.Module, name: str) -> Tensor:
    bias = module._parameters[name]
    assert bias is not None
    kind = bias.device.type
    return bias.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else bias


FAMILY = ModelFamily(
    name="deberta",
    model_type="deberta",
    is_checked=True,
    constants={
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": True,
        "type_vocab_size": 0,
    },
    pair_mask="deberta.encoder",
    adapt=with_low_precision,
)
