"""Makes padded batches from tokenised rows.

Axes: B batch, L position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from raykd.data.base import NO_LABEL, Array, Batch, TokenizedDataset


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads a batch to its longest row and some context padding, not to a fixed length.

    Attributes:
        pad_id: Token that pads.
        max_length: Longest padded row; only a row that is longer itself exceeds it.
        context_padding: Padding positions beyond the longest row, as far as `max_length` allows.
            Some losses on hidden states look a few positions past the last token.
        views: Views of the rows that batches carry.
    """

    pad_id: int
    max_length: int
    context_padding: int = 0
    views: tuple[str, ...] = ()

    def __call__(self, encoded: TokenizedDataset, rows: Array) -> Batch:
        """The batch of the given rows, in that order.

        Args:
            encoded: All rows of a split.
            rows: Row numbers, ``[B]``, at least one.
        """
        rows = np.asarray(rows, np.int64)
        is_token, source = _places(encoded.offsets, rows, self.context_padding, self.max_length)
        input_ids = np.full(is_token.shape, self.pad_id, np.int64)
        input_ids[is_token] = encoded.input_ids[source]
        token_type_ids = np.zeros(is_token.shape, np.int64)
        token_type_ids[is_token] = encoded.token_type_ids[source]
        if encoded.token_labels:
            labelled = is_token
            if encoded.label_offsets is not None:
                labelled, source = _places(encoded.label_offsets, rows, 0, self.max_length)
            labels = np.full(labelled.shape, NO_LABEL, np.int64)
            labels[labelled] = encoded.labels[source]
        else:
            labels = encoded.labels[rows]
        return Batch(
            input_ids=torch.from_numpy(input_ids),
            attention_mask=torch.from_numpy(is_token.astype(np.int64)),
            token_type_ids=torch.from_numpy(token_type_ids),
            labels=torch.from_numpy(labels),
            index=torch.from_numpy(rows.copy()),
            views={name: replace(self, views=())(encoded.views[name], rows)
                    for name in self.views if name in encoded.views},
            columns={name: torch.from_numpy(values[rows])
                     for name, values in encoded.columns.items()},
        )  # fmt: skip


def _places(offsets: Array, rows: Array, context_padding: int, most: int) -> tuple[Array, Array]:
    """Which positions of the padded rows hold something, ``[B, L]``, and where it comes from."""
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    longest = int(lengths.max())
    places = np.arange(min(longest + context_padding, max(most, longest)))
    holds = places < lengths[:, None]
    return holds, (starts[:, None] + places)[holds]
