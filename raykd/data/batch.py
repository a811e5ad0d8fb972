"""A padded batch.

Axes: B batch, L position, C class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raykd.losses.token_mask import TokenMask
from raykd.losses.transfer import moved as moved

Array = npt.NDArray[Any]

NO_LABEL = -100
"""Label of a token that has none."""
ROW_WEIGHT = "row_weight"
"""Column of batches, and field of rows: the weight of a row in the loss of the task."""
LABELLED = "labelled"
"""Column of batches, and field of rows: 1 for a row with a label, 0 for one without."""
ROW_COLUMNS = (ROW_WEIGHT, LABELLED)
"""Fields of rows that are columns of batches."""
PADDED = -1e4
"""Logit of a position that does not exist: its probability is 0, and 0 times it is finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One padded batch, and what the host knows of it: how long rows are, which tokens have labels.

    That is found where the batch is made, on the CPU, and goes with it to a device, because reading
    it back from there would halt a step.

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
    _lengths: Array | None = field(default=None, init=False, repr=False, compare=False)
    _first_lengths: Array | None = field(default=None, init=False, repr=False, compare=False)
    _labelled: Tensor | None = field(default=None, init=False, repr=False, compare=False)
    _label_counts: Array | None = field(default=None, init=False, repr=False, compare=False)
    _tokens: TokenMask | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def lengths(self) -> Array:
        """Tokens of each row, int64 ``[B]``, on the host."""
        if self._lengths is None:
            self._know("_lengths", _on_host(self.attention_mask).sum(axis=1))
        assert self._lengths is not None
        return self._lengths

    @property
    def first_lengths(self) -> Array:
        """Tokens of the first text of each row, int64 ``[B]``, on the host."""
        if self._first_lengths is None:
            is_first = (_on_host(self.token_type_ids) == 0) & (_on_host(self.attention_mask) != 0)
            self._know("_first_lengths", is_first.sum(axis=1))
        assert self._first_lengths is not None
        return self._first_lengths

    def texts_apart(self, pad: int) -> Batch:
        """The two texts of each row as rows of their own, ``[2 B, L']``: first, second, first, ...

        A text without a token is read as one that pads. Labels and row numbers are those of the
        pairs.

        Args:
            pad: The token that pads.
        """
        lengths = np.stack([self.first_lengths, self.lengths - self.first_lengths], axis=1)
        begins = np.stack([np.zeros_like(self.first_lengths), self.first_lengths], axis=1)
        begins += np.arange(len(lengths))[:, None] * self.input_ids.shape[1]
        texts = np.maximum(lengths.ravel(), 1)
        places = np.arange(texts.max())
        holds = places < lengths.reshape(-1, 1)
        source = np.where(holds, begins.reshape(-1, 1) + places, 0)
        device = self.input_ids.device
        ids = self.input_ids.flatten()[moved(torch.from_numpy(source), device)]
        is_read = (places < texts[:, None]).astype(np.int64)
        apart = Batch(
            input_ids=ids.masked_fill(moved(torch.from_numpy(~holds), device), pad),
            attention_mask=moved(torch.from_numpy(is_read), device),
            token_type_ids=torch.zeros_like(ids),
            labels=self.labels,
            index=self.index,
        )
        apart._know("_lengths", texts)
        return apart

    @property
    def is_padded(self) -> bool:
        """Whether any position of `input_ids` holds no token."""
        return bool((self.lengths < self.input_ids.shape[1]).any())

    @property
    def tokens(self) -> TokenMask:
        """The attention mask, with the places of the tokens."""
        if self._tokens is None:
            lengths = self.lengths.tolist()
            self._know("_tokens", TokenMask.of_lengths(self.attention_mask, lengths))
        assert self._tokens is not None
        return self._tokens

    @property
    def labelled(self) -> Tensor:
        """Places of the M tokens with a label among all of `labels`, flattened, int64 ``[M]``."""
        if self._labelled is None:
            self._find_labels()
        assert self._labelled is not None
        return self._labelled

    @property
    def label_counts(self) -> Array:
        """How many there are in each row, int64 ``[B]``, on the host."""
        if self._label_counts is None:
            self._find_labels()
        assert self._label_counts is not None
        return self._label_counts

    @property
    def label_ids(self) -> Tensor:
        """The labels of these tokens, int64 ``[M]``."""
        return self.labels.flatten().index_select(0, self.labelled)

    def at_labels(self, values: Tensor) -> Tensor:
        """What belongs to the tokens with a label, ``[M, ...]``, of values ``[B, L, ...]``."""
        return values.flatten(0, 1).index_select(0, self.labelled)

    def _find_labels(self) -> None:
        has_label = _on_host(self.labels) != NO_LABEL
        places = torch.from_numpy(np.flatnonzero(has_label))
        self._know("_labelled", moved(places, self.labels.device))
        self._know("_label_counts", has_label.reshape(len(has_label), -1).sum(axis=1))

    def _know(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; copied to a GPU without waiting for what runs there.

        `index` stays on the CPU: cached teacher outputs are looked up there, and reading it back
        from a GPU would halt the step.
        """
        batch = Batch(
            input_ids=moved(self.input_ids, device),
            attention_mask=moved(self.attention_mask, device),
            token_type_ids=moved(self.token_type_ids, device),
            labels=moved(self.labels, device),
            index=self.index,
            views={name: batch.to(device) for name, batch in self.views.items()},
            columns={name: moved(values, device) for name, values in self.columns.items()},
        )
        if device.type != self.input_ids.device.type:
            batch._know("_lengths", self.lengths)
            batch._know("_first_lengths", self.first_lengths)
            batch._know("_labelled", moved(self.labelled, device))
            batch._know("_label_counts", self.label_counts)
        return batch


def _on_host(tensor: Tensor) -> Array:
    array: Array = tensor.cpu().numpy()
    return array
