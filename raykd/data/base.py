"""Tasks, tokenised rows and batches: the types that data flows through.

Axes: N row, B batch, L position, C class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSettings:
    """Where rows come from; the ``data`` part of the search space that readers need.

    Attributes:
        root: Folder that holds ``<task>/<split>.parquet`` or the GLUE script's folders; None = hub.
        limit: Most rows per split, None = all. Taken from a seeded shuffle.
        seed: Seeds generated data, carving and sampling of rows.
    """

    root: str | None = None
    limit: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Text and labels of one split, in columns of equal length.

    Attributes:
        texts: One or two text columns.
        labels: Class ids (int64) or scores (float32), shape ``[N]``.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Array) -> Rows:
        """The rows of the given positions, in that order."""
        texts = tuple(tuple(column[i] for i in rows) for column in self.texts)
        return Rows(texts=texts, labels=self.labels[rows])


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """Tokenised rows without padding: one flat array and the offsets of the rows in it.

    Attributes:
        input_ids: int32 ``[sum of lengths]``.
        token_type_ids: int8, same shape.
        offsets: int64 ``[N + 1]``; row i is ``input_ids[offsets[i]:offsets[i + 1]]``.
        labels: int64 or float32 ``[N]``.
        truncated: How many rows were cut to the maximum length.
    """

    input_ids: Array
    token_type_ids: Array
    offsets: Array
    labels: Array
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def lengths(self) -> Array:
        """Tokens per row, ``[N]``."""
        return np.diff(self.offsets)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One padded batch.

    Attributes:
        input_ids: int64 ``[B, L]``.
        attention_mask: int64 ``[B, L]``, 1 = token; ones come first.
        token_type_ids: int64 ``[B, L]``.
        labels: int64 or float32 ``[B]``.
        index: int64 ``[B]``, row numbers in the split; the key for recorded teacher outputs.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    labels: Tensor
    index: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; `index` stays on the host, where outputs are looked up."""
        return Batch(
            input_ids=self.input_ids.to(device, non_blocking=True),
            attention_mask=self.attention_mask.to(device, non_blocking=True),
            token_type_ids=self.token_type_ids.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            index=self.index,
        )


class Task(ABC):
    """A task: where its rows are, how they are tokenised, what is measured.

    Attributes:
        name: The YAML name, e.g. ``glue/rte``.
        kind: ``classification`` or ``regression``; chooses the head and the task loss.
        labels: Class names in id order; empty for regression.
        metric: The metric that decides; higher is better.
        metrics: All metrics reported, `metric` among them.
        about: One sentence for ``raykd show``.
    """

    kind: str
    name: str
    labels: tuple[str, ...]
    metric: str
    metrics: tuple[str, ...]
    about: str

    @property
    def num_labels(self) -> int:
        """Width of the logits."""
        return len(self.labels) or 1

    @abstractmethod
    def splits(self, settings: DataSettings) -> tuple[str, ...]:
        """Names of the labelled splits that `settings` can reach, without reading rows."""

    @abstractmethod
    def load(self, split: str, settings: DataSettings) -> Rows:
        """Rows of one split, checked.

        Raises:
            DataError: Missing columns, labels out of range, no rows.
            SetupError: The data cannot be reached.
        """

    @abstractmethod
    def encode(self, rows: Rows, tokenizer: Any, max_length: int) -> Encoded:
        """Tokenise rows; `tokenizer` is a ``PreTrainedTokenizerBase``."""

    @abstractmethod
    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The task's own loss, mean over the batch, a scalar."""

    @abstractmethod
    def score(self, logits: Array, labels: Array) -> Mapping[str, float]:
        """Every metric of the task from the logits ``[N, C]`` and labels ``[N]``."""
