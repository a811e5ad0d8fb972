"""Responses that a decoder writes after their prompts; logits over the vocabulary."""

from __future__ import annotations

from raykd.data.kinds.base import TokenKind


class CausalLM(TokenKind):
    """A decoder reads prompt and response as one text."""

    name = "causal_lm"
    auto_mapping = "MODEL_FOR_CAUSAL_LM_MAPPING"
    peft_type = "CAUSAL_LM"
    outputs = "distributions over the vocabulary"
    over_vocabulary = True
    generates = True
    is_joined = True


KIND = CausalLM()
