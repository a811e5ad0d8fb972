"""BERT (Devlin et al., 2019, https://arxiv.org/abs/1810.04805) and what is shaped like it."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily
from raykd.models.prunable_units import PrunableUnits

FAMILY = ModelFamily(
    name="bert",
    model_type="bert",
    is_checked=True,
    units=PrunableUnits(
        attention="attention.self",
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        attention_output="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        feed_forward_in="intermediate.dense",
        feed_forward_out="output.dense",
        feed_forward_norm="output.LayerNorm",
    ),
)
