"""Makes padded batches from tokenised rows.

Axes: B batch, L position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from raykd.data.base import NO_LABEL, Array, Batch, Encoded


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads a batch to its longest row and a margin, not to a fixed length.

    Attributes:
        pad_id: Token that pads.
        max_length: Longest padded row; only a row that is longer itself exceeds it.
        margin: Padding positions beyond the longest row, as far as `max_length` allows. Some
            losses on hidden states look a few positions past the last token.
    """

    pad_id: int
    max_length: int
    margin: int = 0

    def __call__(self, encoded: Encoded, rows: Array) -> Batch:
        """The batch of the given rows, in that order.

        Args:
            encoded: All rows of a split.
            rows: Row numbers, ``[B]``, at least one.
        """
        rows = np.asarray(rows, np.int64)
        starts = encoded.offsets[rows]
        lengths = encoded.offsets[rows + 1] - starts
        longest = int(lengths.max())
        width = min(longest + self.margin, max(self.max_length, longest))
        places = np.arange(width)
        is_token = places < lengths[:, None]
        source = (starts[:, None] + places)[is_token]
        input_ids = np.full(is_token.shape, self.pad_id, np.int64)
        input_ids[is_token] = encoded.input_ids[source]
        token_type_ids = np.zeros(is_token.shape, np.int64)
        token_type_ids[is_token] = encoded.token_type_ids[source]
        if encoded.token_labels:
            labels = np.full(is_token.shape, NO_LABEL, np.int64)
            labels[is_token] = encoded.labels[source]
        else:
            labels = encoded.labels[rows]
        return Batch(
            input_ids=torch.from_numpy(input_ids),
            attention_mask=torch.from_numpy(is_token.astype(np.int64)),
            token_type_ids=torch.from_numpy(token_type_ids),
            labels=torch.from_numpy(labels),
            index=torch.from_numpy(rows.copy()),
        )
