"""GPT-2 (Radford et al., 2019): a decoder with learnt positions."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(
    name="gpt2",
    model_type="gpt2",
    is_checked=True,
    numbered_by=("scale_attn_by_inverse_layer_idx",),
)
