"""Hidden tokens of a text; logits over the vocabulary for each of them."""

from __future__ import annotations

from raykd.data.kinds.base import TokenKind


class MaskedLM(TokenKind):
    """An encoder guesses tokens that were hidden from it."""

    name = "masked_lm"
    auto_mapping = "MODEL_FOR_MASKED_LM_MAPPING"
    outputs = "distributions over the vocabulary"
    over_vocabulary = True


KIND = MaskedLM()
