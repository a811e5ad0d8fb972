"""Bits per byte: the likelihood of responses in a unit that no tokenizer decides."""

from __future__ import annotations

import math
from collections.abc import Mapping

from raykd.data.base import TokenizedDataset
from raykd.data.token_texts import token_bytes

NAME = "bits_per_byte"


def bits_per_byte(metrics: Mapping[str, float], encoded: TokenizedDataset) -> dict[str, float]:
    """What a model needs to write down a byte of the responses, less is better.

    The negative log-likelihood of all tokens with a label, in bits, over the bytes of their text.
    The token that ends a response counts, and has no bytes. Models that split text differently
    compare by it, as long as no response is cut.

    Args:
        metrics: Of the rows; with ``log_likelihood``, the mean over tokens in nats.
        encoded: The rows.

    Returns:
        The metric by its name; empty where rows are not text or none of it is scored.
    """
    references = encoded.references
    likelihood = metrics.get("log_likelihood")
    if likelihood is None or references is None or references.tokens is None:
        return {}
    lengths = {number: len(text) for number, text in token_bytes(references.tokens).items()}
    rows = encoded.label_rows()
    size = sum(lengths.get(number, 0) for row in rows for number in row.tolist())
    if not size:
        return {}
    tokens = sum(map(len, rows))
    return {NAME: -likelihood * tokens / math.log(2) / size}
