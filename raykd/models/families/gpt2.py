"""GPT-2 (Radford et al., 2019): a decoder with learnt positions."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(
    name="gpt2",
    model_type="gpt2",
    config_path="transformers.models.gpt2.configuration_gpt2:GPT2Config",
    head_path={"causal_lm": "transformers.models.gpt2.modeling_gpt2:GPT2LMHeadModel"},
    base_prefix="transformer.",
    layer_prefix="transformer.h.",
    head_prefixes=("lm_head.",),
    token_head=("lm_head",),
    fields={
        "layers": ("n_layer",),
        "hidden": ("n_embd",),
        "heads": ("n_head",),
        "intermediate": ("n_inner",),
        "positions": ("n_positions",),
        "dropout": ("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    },
    constants={"bos_token_id": 0, "eos_token_id": 0},
    specials=("<|endoftext|>",),
    numbered_by=("scale_attn_by_inverse_layer_idx",),
)
