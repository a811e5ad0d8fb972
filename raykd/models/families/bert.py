"""BERT (Devlin et al., 2019, https://arxiv.org/abs/1810.04805) and what is shaped like it."""

from __future__ import annotations

from raykd.models.families.base import STANDARD_FIELDS, ModelFamily, PrunableUnits

_MODELS = "transformers.models.bert.modeling_bert:BertFor"

FAMILY = ModelFamily(
    name="bert",
    model_type="bert",
    config_path="transformers.models.bert.configuration_bert:BertConfig",
    head_path={
        "classification": _MODELS + "SequenceClassification",
        "regression": _MODELS + "SequenceClassification",
        "span": _MODELS + "QuestionAnswering",
        "masked_lm": _MODELS + "MaskedLM",
    },
    base_prefix="bert.",
    layer_prefix="bert.encoder.layer.",
    head_prefixes=("classifier.", "qa_outputs.", "cls."),
    optional_prefixes=("bert.pooler.",),
    token_head=("cls",),
    fields={
        **STANDARD_FIELDS,
        "dropout": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    },
    takes_token_types=True,
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
