"""DistilBERT (Sanh et al., 2019, https://arxiv.org/abs/1910.01108): no pooler, no text marks."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

_HEAD = "transformers.models.distilbert.modeling_distilbert:DistilBertForSequenceClassification"

FAMILY = ModelFamily(
    name="distilbert",
    model_type="distilbert",
    config_path="transformers.models.distilbert.configuration_distilbert:DistilBertConfig",
    head_path={"classification": _HEAD, "regression": _HEAD},
    base_prefix="distilbert.",
    layer_prefix="distilbert.transformer.layer.",
    head_prefixes=("pre_classifier.", "classifier."),
    fields={
        "layers": ("n_layers",),
        "hidden": ("dim",),
        "heads": ("n_heads",),
        "intermediate": ("hidden_dim",),
        "positions": ("max_position_embeddings",),
        "dropout": ("dropout", "attention_dropout", "seq_classif_dropout"),
    },
)
