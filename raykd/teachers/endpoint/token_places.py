"""The tokens of rows as they are sent to be scored, and which of their places students learn."""

from __future__ import annotations

import numpy as np

from raykd.data.base import NO_LABEL, Array, TokenizedDataset


def sequences(encoded: TokenizedDataset) -> list[list[int]]:
    """The tokens of every row with the last one, which it has as a label only.

    Args:
        encoded: Rows of a decoder.
    """
    rows_of_labels = []
    for ids, labels in zip(*_pieces(encoded), strict=True):
        whole: list[int] = ids.tolist()
        rows_of_labels.append(whole if labels[-1] == NO_LABEL else [*whole, int(labels[-1])])
    return rows_of_labels


def labelled_places(encoded: TokenizedDataset) -> list[list[int]]:
    """Where the labels of every row stand among its `sequences`."""
    return [(np.flatnonzero(labels != NO_LABEL) + 1).tolist() for labels in _pieces(encoded)[1]]


def _pieces(encoded: TokenizedDataset) -> tuple[list[Array], list[Array]]:
    """Token ids and labels of every row."""
    borders = encoded.offsets[1:-1]
    return np.split(encoded.input_ids, borders), np.split(encoded.labels, borders)
