"""Llama (Touvron et al., 2023, https://arxiv.org/abs/2302.13971): rotary positions, no biases."""

from __future__ import annotations

from raykd.models.families.base import STANDARD_FIELDS, ModelFamily

FAMILY = ModelFamily(
    name="llama",
    model_type="llama",
    config_path="transformers.models.llama.configuration_llama:LlamaConfig",
    head_path={"causal_lm": "transformers.models.llama.modeling_llama:LlamaForCausalLM"},
    base_prefix="model.",
    layer_prefix="model.layers.",
    head_prefixes=("lm_head.",),
    token_head=("lm_head",),
    fields={
        **STANDARD_FIELDS,
        "dropout": ("attention_dropout",),
    },
    constants={"bos_token_id": 0, "eos_token_id": 0},
    specials=("<|endoftext|>",),
)
