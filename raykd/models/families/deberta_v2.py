"""DeBERTa v2 and v3 (He et al., 2023, https://arxiv.org/abs/2111.09543), no absolute positions."""

from __future__ import annotations

from raykd.models.families.base import ModelFamily

_MODELS = "transformers.models.deberta_v2.modeling_deberta_v2:DebertaV2For"

FAMILY = ModelFamily(
    name="deberta_v2",
    model_type="deberta-v2",
    config_path="transformers.models.deberta_v2.configuration_deberta_v2:DebertaV2Config",
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
        "layers": ("num_hidden_layers",),
        "hidden": ("hidden_size", "pooler_hidden_size"),
        "heads": ("num_attention_heads",),
        "intermediate": ("intermediate_size",),
        "positions": ("max_position_embeddings",),
        "dropout": ("hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout"),
    },
    constants={
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
)
