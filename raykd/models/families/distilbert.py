"""DistilBERT (Sanh et al., 2019, https://arxiv.org/abs/1910.01108): no pooler, no text marks."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily, PrunableUnits

_MODELS = "transformers.models.distilbert.modeling_distilbert:DistilBertFor"

FAMILY = ModelFamily(
    name="distilbert",
    model_type="distilbert",
    config_path="transformers.models.distilbert.configuration_distilbert:DistilBertConfig",
    head_path={
        "classification": _MODELS + "SequenceClassification",
        "regression": _MODELS + "SequenceClassification",
        "span": _MODELS + "QuestionAnswering",
        "masked_lm": _MODELS + "MaskedLM",
    },
    base_prefix="distilbert.",
    layer_prefix="distilbert.transformer.layer.",
    head_prefixes=(
        "pre_classifier.",
        "classifier.",
        "qa_outputs.",
        "vocab_transform.",
        "vocab_layer_norm.",
        "vocab_projector.",
    ),
    token_head=("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
    fields={
        "layers": ("n_layers",),
        "hidden": ("dim",),
        "heads": ("n_heads",),
        "intermediate": ("hidden_dim",),
        "positions": ("max_position_embeddings",),
        "dropout": ("dropout", "attention_dropout", "seq_classif_dropout"),
    },
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
