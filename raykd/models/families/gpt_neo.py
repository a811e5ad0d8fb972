"""GPT-Neo (Black et al., 2021): like GPT-2, with a window of attention in every other block."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(
    name="gpt_neo",
    model_type="gpt_neo",
    is_checked=True,
    block_types="attention_layers",
    types_cycle=("global", "local"),
    with_types=lambda types: {
        "attention_types": [[list(types), 1]],
        "attention_layers": list(types),
    },
)
