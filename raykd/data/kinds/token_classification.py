"""One of some classes for a word; logits ``[M, C]``, one row for the first token of each word."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from raykd.data.batch import Batch
from raykd.data.kinds.base import TokenKind


class TokenClassification(TokenKind):
    """Words have tags, such as those of named entities."""

    name = "token_classification"
    auto_mapping = "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING"
    outputs = "class logits of words"
    has_class_names = True

    def logits(self, model_output: Any, batch: Batch) -> Tensor:
        """Those of the M tokens that have a label, row by row, ``[M, C]``."""
        logits: Tensor = model_output.logits
        return batch.at_labels(logits)


KIND = TokenClassification()
