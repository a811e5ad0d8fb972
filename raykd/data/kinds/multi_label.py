"""Any number of some classes for a row; logits ``[B, C]``, each one a yes or no."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from raykd.data.batch import ROW_WEIGHT, Batch
from raykd.data.kinds.base import TaskKind, mean_over_rows


class MultiLabel(TaskKind):
    """Rows have a set of classes; labels are float32 ``[B, C]``, 1 for those of the row."""

    name = "multi_label"
    labels_of = "row"
    auto_mapping = "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING"
    outputs = "scores of classes"
    is_categorical = False
    is_binary = True
    has_class_names = True
    problem_type = "multi_label_classification"

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Binary cross-entropy of logits ``[B, C]``, mean over rows and classes."""
        scores, labels = logits.float(), batch.labels.float()
        if ROW_WEIGHT not in batch.columns:
            return F.binary_cross_entropy_with_logits(scores, labels)
        each = F.binary_cross_entropy_with_logits(scores, labels, reduction="none")
        return mean_over_rows(each.mean(dim=1), batch)


KIND = MultiLabel()
