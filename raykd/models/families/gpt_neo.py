"""GPT-Neo (Black et al., 2021): like GPT-2, with a window of attention in every other block."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(
    name="gpt_neo",
    model_type="gpt_neo",
    config_path="transformers.models.gpt_neo.configuration_gpt_neo:GPTNeoConfig",
    head_path={"causal_lm": "transformers.models.gpt_neo.modeling_gpt_neo:GPTNeoForCausalLM"},
    base_prefix="transformer.",
    layer_prefix="transformer.h.",
    head_prefixes=("lm_head.",),
    token_head=("lm_head",),
    fields={
        "layers": ("num_layers",),
        "hidden": ("hidden_size",),
        "heads": ("num_heads",),
        "intermediate": ("intermediate_size",),
        "positions": ("max_position_embeddings",),
        "dropout": ("resid_dropout", "embed_dropout", "attention_dropout"),
    },
    constants={"bos_token_id": 0, "eos_token_id": 0},
    block_types="attention_layers",
    types_cycle=("global", "local"),
    with_types=lambda types: {
        "attention_types": [[list(types), 1]],
        "attention_layers": list(types),
    },
    specials=("<|endoftext|>",),
)
