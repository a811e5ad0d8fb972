"""Bits per byte: the likelihood of responses in a unit that no tokenizer decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
    texts = token_bytes(references.tokens)
    rows = encoded.label_rows()
    size = sum(_size([texts.get(number, b"") for number in row.tolist()]) for row in rows)
    if not size:
        return {}
    tokens = sum(map(len, rows))
    return {NAME: -likelihood * tokens / math.log(2) / size}


def _size(texts: Sequence[bytes]) -> int:
    """Bytes of a response; a blank before it counts for nothing: some tokenizers put one there."""
    whole = b"".join(texts)
    return len(whole) - whole.startswith(b" ")
