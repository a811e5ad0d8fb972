"""Qwen2 (Yang et al., 2024, https://arxiv.org/abs/2407.10671): Llama's form with other details."""

from __future__ import annotations

from dataclasses import replace

from raykd.models.families.llama import FAMILY as LLAMA

FAMILY = replace(
    LLAMA,
    name="qwen2",
    model_type="qwen2",
    config_path="transformers.models.qwen2.configuration_qwen2:Qwen2Config",
    head_path={"causal_lm": "transformers.models.qwen2.modeling_qwen2:Qwen2ForCausalLM"},
    constants={**LLAMA.constants, "num_key_value_heads": None},
    block_types="layer_types",
    types_cycle=("full_attention",),
    with_types=lambda types: {"layer_types": list(types)},
)
