"""One of some classes for a row; logits ``[B, C]``."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from raykd.data.batch import ROW_WEIGHT, Batch
from raykd.data.kinds.base import TaskKind, mean_over_rows


class Classification(TaskKind):
    """Rows have one of the task's classes."""

    name = "classification"
    auto_mapping = "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING"
    peft_type = "SEQ_CLS"
    labels_of = "row"
    outputs = "class logits"
    has_class_names = True
    problem_type = "single_label_classification"

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of logits ``[B, C]``; rows may have weights, whose mean is 1 over train."""
        if ROW_WEIGHT not in batch.columns:
            return F.cross_entropy(logits.float(), batch.labels)
        of_rows = F.cross_entropy(logits.float(), batch.labels, reduction="none")
        return mean_over_rows(of_rows, batch)


KIND = Classification()
