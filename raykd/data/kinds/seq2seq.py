"""Responses that a decoder writes to prompts that an encoder reads; logits over the vocabulary."""

from __future__ import annotations

from raykd.data.kinds.base import TokenKind


class Seq2Seq(TokenKind):
    """An encoder reads the prompt, a decoder the response."""

    name = "seq2seq"
    auto_mapping = "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING"
    peft_type = "SEQ_2_SEQ_LM"
    outputs = "distributions over the vocabulary"
    over_vocabulary = True
    generates = True


KIND = Seq2Seq()
