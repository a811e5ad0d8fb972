"""DeBERTa (He et al., 2021, https://arxiv.org/abs/2006.03654): positions in the attention."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

FAMILY = ModelFamily(
    name="deberta",
    model_type="deberta",
    is_checked=True,
    constants={
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": True,
        "type_vocab_size": 0,
    },
    pair_mask="deberta.encoder",
)
