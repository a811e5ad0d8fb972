"""Qwen2 (Yang et al., 2024, https://arxiv.org/abs/2407.10671): Llama's form with other details."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(
    name="qwen2",
    model_type="qwen2",
    config_path="transformers.models.qwen2.configuration_qwen2:Qwen2Config",
    head_path={"causal_lm": "transformers.models.qwen2.modeling_qwen2:Qwen2ForCausalLM"},
    base_prefix="model.",
    layer_prefix="model.layers.",
    head_prefixes=("lm_head.",),
    token_head=("lm_head",),
    fields={
        "layers": ("num_hidden_layers",),
        "hidden": ("hidden_size",),
        "heads": ("num_attention_heads",),
        "intermediate": ("intermediate_size",),
        "positions": ("max_position_embeddings",),
        "dropout": ("attention_dropout",),
    },
    constants={"num_key_value_heads": None, "bos_token_id": 0, "eos_token_id": 0},
    by_layers=lambda layers: {"layer_types": ["full_attention"] * layers},
    specials=("<|endoftext|>",),
)
