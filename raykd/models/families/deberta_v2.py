"""DeBERTa v2 and v3 (He et al., 2023, https://arxiv.org/abs/2111.09543), no absolute positions."""

from __future__ import annotations

from dataclasses import replace

from raykd.models.families import deberta

FAMILY = replace(
    deberta.FAMILY,
    name="deberta_v2",
    model_type="deberta-v2",
    constants={**deberta.FAMILY.constants, "position_biased_input": False},
    # Both versions call the body the same.
    pair_mask=deberta.FAMILY.pair_mask,
)
