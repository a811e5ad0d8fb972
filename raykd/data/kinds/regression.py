"""A number for a row; logits ``[B, 1]``."""

from __future__ import annotations

from torch import Tensor

from raykd.data.batch import Batch
from raykd.data.kinds.base import TaskKind, squared_error


class Regression(TaskKind):
    """Rows have a score."""

    name = "regression"
    auto_mapping = "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING"
    peft_type = "SEQ_CLS"
    labels_of = "row"
    outputs = "scores"
    is_categorical = False
    problem_type = "regression"

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The squared error of outputs ``[B, 1]``, mean over the batch."""
        return squared_error(logits.float().squeeze(-1), batch)


KIND = Regression()
