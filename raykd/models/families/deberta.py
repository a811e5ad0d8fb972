"""DeBERTa (He et al., 2021, https://arxiv.org/abs/2006.03654): positions in the attention."""

from __future__ import annotations

from raykd.models.families.base import STANDARD_FIELDS, ModelFamily

_MODELS = "transformers.models.deberta.modeling_deberta:DebertaFor"

FAMILY = ModelFamily(
    name="deberta",
    model_type="deberta",
    config_path="transformers.models.deberta.configuration_deberta:DebertaConfig",
    head_path={
        "classification": _MODELS + "SequenceClassification",
        "regression": _MODELS + "SequenceClassification",
        "span": _MODELS + "QuestionAnswering",
        "masked_lm": _MODELS + "MaskedLM",
    },
    base_prefix="deberta.",
    layer_prefix="deberta.encoder.layer.",
    head_prefixes=("pooler.", "classifier.", "qa_outputs.", "cls."),
    token_head=("cls",),
    fields={
        **STANDARD_FIELDS,
        "hidden": ("hidden_size", "pooler_hidden_size"),
        "dropout": ("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout"),
    },
    constants={
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": True,
        "type_vocab_size": 0,
    },
    pair_mask="deberta.encoder",
)
