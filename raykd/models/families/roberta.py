"""RoBERTa (Liu et al., 2019, https://arxiv.org/abs/1907.11692): positions count from the padding.

Token n has position ``n + pad id + 1``, so the first positions are never used: two in published
models (padding is token 1), one in a model with random weights (padding is token 0). Two are kept
for both.
"""

from __future__ import annotations

from raykd.models.families.base import ModelFamily, Units

_MODELS = "transformers.models.roberta.modeling_roberta:RobertaFor"

FAMILY = ModelFamily(
    name="roberta",
    model_type="roberta",
    config_path="transformers.models.roberta.configuration_roberta:RobertaConfig",
    head_path={
        "classification": _MODELS + "SequenceClassification",
        "regression": _MODELS + "SequenceClassification",
        "span": _MODELS + "QuestionAnswering",
        "masked_lm": _MODELS + "MaskedLM",
    },
    base_prefix="roberta.",
    layer_prefix="roberta.encoder.layer.",
    head_prefixes=("classifier.", "qa_outputs.", "lm_head."),
    token_head=("lm_head",),
    fields={
        "layers": ("num_hidden_layers",),
        "hidden": ("hidden_size",),
        "heads": ("num_attention_heads",),
        "intermediate": ("intermediate_size",),
        "positions": ("max_position_embeddings",),
        "dropout": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    },
    constants={"type_vocab_size": 1},
    reserved_positions=2,
    units=Units(
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
