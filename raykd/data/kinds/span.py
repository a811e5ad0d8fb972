"""A span of a row: its first and last token; logits ``[B, 2, L]``, `PADDED` beyond the row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from raykd.data.batch import PADDED, Batch
from raykd.data.kinds.base import TaskKind


class Span(TaskKind):
    """Rows have a span that answers them."""

    name = "span"
    auto_mapping = "MODEL_FOR_QUESTION_ANSWERING_MAPPING"
    peft_type = "QUESTION_ANS"
    labels_of = "span"
    outputs = "first and last tokens of answers"

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of the first and the last token; logits ``[B, 2, L]``."""
        return F.cross_entropy(logits.float().flatten(0, 1), batch.labels.flatten())

    def logits(self, model_output: Any, batch: Batch) -> Tensor:
        """Scores of each position to be the first and the last of the span, ``[B, 2, L]``."""
        both = torch.stack([model_output.start_logits, model_output.end_logits], dim=1)
        return both.masked_fill(batch.attention_mask[:, None] == 0, PADDED)

    def head_outputs(self, classes: int) -> int:
        """A first and a last token."""
        return 2

    def shape(self, num_labels: int, longest: int) -> tuple[int, ...]:
        """``[2, longest row]``."""
        return (2, longest)

    def blanked(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """Logits ``[B, 2, L]`` with `PADDED` beyond the end of a row; `lengths` is ``[B]``."""
        beyond = torch.arange(logits.shape[-1], device=logits.device) >= lengths[:, None]
        return logits.masked_fill(beyond[:, None], PADDED)


KIND = Span()
