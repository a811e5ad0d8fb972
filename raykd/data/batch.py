"""A padded batch.

Axes: B batch, L position, C class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]

NO_LABEL = -100
"""Label of a token that has none."""
ROW_WEIGHT = "row_weight"
"""Column of batches, and field of rows: the weight of a row in the loss of the task."""
PADDED = -1e4
"""Logit of a position that does not exist: its probability is 0, and 0 times it is finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One padded batch.

    Attributes:
        input_ids: int64 ``[B, L]``.
        attention_mask: int64 ``[B, L]``, 1 = token; ones come first.
        token_type_ids: int64 ``[B, L]``.
        labels: int64 or float32 ``[B]``; int64 ``[B, 2]`` for spans, ``[B, L]`` for token labels
            (of a length of their own where they are those of another text).
        index: int64 ``[B]``, row numbers in the split; the key for cached teacher outputs.
        views: Prompt views of the same rows, by name.
        columns: Further tensors with one entry per row, ``[B, ...]``, by name; see
            `TokenizedDataset`.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    labels: Tensor
    index: Tensor
    views: Mapping[str, Batch] = field(default_factory=dict)
    columns: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; copied to a GPU without waiting for what runs there.

        `index` stays on the CPU: cached teacher outputs are looked up there, and reading it back
        from a GPU would halt the step.
        """
        return Batch(
            input_ids=moved(self.input_ids, device),
            attention_mask=moved(self.attention_mask, device),
            token_type_ids=moved(self.token_type_ids, device),
            labels=moved(self.labels, device),
            index=self.index,
            views={name: batch.to(device) for name, batch in self.views.items()},
            columns={name: moved(values, device) for name, values in self.columns.items()},
        )


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; copied from the CPU to a GPU without waiting for what runs there."""
    if tensor.device.type == "cpu" and device.type != "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
