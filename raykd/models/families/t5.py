"""T5 (Raffel et al., 2020, https://arxiv.org/abs/1910.10683): an encoder and a decoder.

T0 is a T5 that was trained on many prompts. Positions are relative, so rows may have any length.
"""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(
    name="t5",
    model_type="t5",
    config_path="transformers.models.t5.configuration_t5:T5Config",
    head_path={"seq2seq": "transformers.models.t5.modeling_t5:T5ForConditionalGeneration"},
    base_prefix="",
    layer_prefix="",
    head_prefixes=("lm_head.",),
    token_head=("lm_head",),
    fields={
        "layers": ("num_layers", "num_decoder_layers"),
        "hidden": ("d_model",),
        "heads": ("num_heads",),
        "head": ("d_kv",),
        "intermediate": ("d_ff",),
        "dropout": ("dropout_rate",),
    },
    constants={"eos_token_id": 1, "decoder_start_token_id": 0},
    specials=("<pad>", "</s>"),
)
