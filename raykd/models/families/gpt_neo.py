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
    by_layers=lambda layers: {
        "attention_types": [[["global", "local"], layers // 2], [["global"], layers % 2]],
        "attention_layers": [("global", "local")[k % 2] for k in range(layers)],
    },
    specials=("<|endoftext|>",),
)
