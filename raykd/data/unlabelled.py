"""Train rows without a label, which are learnt through the teacher alone.

They come after the rows that have labels, so that these keep their numbers.

Axes: N row, B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raykd.data.base import Array, TokenizedDataset
from raykd.data.batch import LABELLED, ROW_WEIGHT


def labelled_count(encoded: TokenizedDataset) -> int:
    """How many rows have labels; they are the first."""
    marks = encoded.columns.get(LABELLED)
    return len(encoded) if marks is None else int(marks.sum())


def with_labelled(encoded: TokenizedDataset, marks: Sequence[float]) -> TokenizedDataset:
    """The rows with a mark of each that says whether it has a label of its own: 1, or 0."""
    column = np.asarray(marks, np.float32)
    return replace(encoded, columns={**encoded.columns, LABELLED: column})


def labelled_rows(encoded: TokenizedDataset) -> TokenizedDataset:
    """The rows that have labels, as they would be without the others."""
    count = labelled_count(encoded)
    if LABELLED not in encoded.columns:
        return encoded
    end = int(encoded.offsets[count])
    label_offsets = encoded.label_offsets
    labels = count
    if encoded.token_labels:
        labels = end if label_offsets is None else int(label_offsets[count])
    return replace(
        encoded,
        input_ids=encoded.input_ids[:end],
        token_type_ids=encoded.token_type_ids[:end],
        offsets=encoded.offsets[: count + 1],
        labels=encoded.labels[:labels],
        label_offsets=None if label_offsets is None else label_offsets[: count + 1],
        views={name: labelled_rows(of) for name, of in encoded.views.items()},
        columns={name: of[:count] for name, of in encoded.columns.items() if name != LABELLED},
    )


def weighted_by_batch(encoded: TokenizedDataset, batches: Sequence[Array]) -> TokenizedDataset:
    """The rows with weights by which the loss on labels is a mean over the rows that have one.

    A batch may be computed in parts, on several ranks: its mean over B rows, of which n have a
    label, is that over the n where each of them weighs ``B / n`` and the others nothing. Without
    any, the loss is 0.

    Args:
        encoded: Train rows.
        batches: Row numbers of each batch of a pass, on all ranks; no row is in two of them.
    """
    marks = encoded.columns.get(LABELLED)
    if marks is None:
        return encoded
    weights = encoded.columns.get(ROW_WEIGHT, np.ones(len(encoded), np.float32)) * marks
    for rows in batches:
        weights[rows] *= len(rows) / max(1.0, float(marks[rows].sum()))
    return replace(encoded, columns={**encoded.columns, ROW_WEIGHT: weights.astype(np.float32)})
