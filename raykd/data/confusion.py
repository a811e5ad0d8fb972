"""How often a class was taken for another one: counts of labels and answers."""

from __future__ import annotations

import numpy as np

from raykd.data.base import Array, Task, TokenizedDataset

MOST_CLASSES = 20
"""More are no table that anybody reads."""


def counted_classes(task: Task) -> tuple[str, ...]:
    """The classes whose confusions are counted; empty where a row has none, or there are many."""
    kind = task.task_kind
    of_rows = task.has_row_classes and kind.is_categorical and kind.labels_of == "row"
    return task.labels if of_rows and task.num_labels <= MOST_CLASSES else ()


def confusion(task: Task, logits: Array, encoded: TokenizedDataset) -> tuple[tuple[int, ...], ...]:
    """Rows by their class, and by the class that was answered.

    Args:
        task: What is scored.
        logits: ``[N, C]`` where rows have classes.
        encoded: The rows, with their labels.

    Returns:
        ``[C][C]``, the label first; empty where there are no `counted_classes`.
    """
    count = len(counted_classes(task))
    if not count:
        return ()
    pairs = count * encoded.labels.astype(np.int64) + logits.argmax(axis=1)
    table = np.bincount(pairs, minlength=count**2).reshape(count, count)
    return tuple(tuple(row) for row in table.tolist())
