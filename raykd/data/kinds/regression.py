"""A number for a row; logits ``[B, 1]``."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from raykd.data.batch import ROW_WEIGHT, Batch
from raykd.data.kinds.base import TaskKind, mean_over_rows


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
        scores, labels = logits.float().squeeze(-1), batch.labels.float()
        if ROW_WEIGHT not in batch.columns:
            return F.mse_loss(scores, labels)
        return mean_over_rows(F.mse_loss(scores, labels, reduction="none"), batch)


KIND = Regression()
