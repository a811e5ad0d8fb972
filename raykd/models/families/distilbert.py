"""DistilBERT (Sanh et al., 2019, https://arxiv.org/abs/1910.01108): no pooler, no text marks."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily
from raykd.models.prunable_units import PrunableUnits

FAMILY = ModelFamily(
    name="distilbert",
    model_type="distilbert",
    is_checked=True,
    units=PrunableUnits(
        attention="attention",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_output="attention.out_lin",
        attention_norm="sa_layer_norm",
        feed_forward_in="ffn.lin1",
        feed_forward_out="ffn.lin2",
        feed_forward_norm="output_layer_norm",
    ),
)
