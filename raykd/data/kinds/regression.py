"""A number for a row; logits ``[B, 1]``."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from raykd.data.batch import Batch
from raykd.data.kinds.base import TaskKind


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
        return F.mse_loss(logits.float().squeeze(-1), batch.labels.float())


KIND = Regression()
