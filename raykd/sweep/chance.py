"""What predictions that are the same for every row would score: the level that knows nothing."""

from __future__ import annotations

import numpy as np

from raykd.data.base import Encoded, Task


def constant_scores(task: Task, encoded: Encoded, metric: str) -> tuple[float, ...]:
    """A metric of saying the same for every row, once for each class.

    Args:
        task: What is scored; other kinds than classification have no classes, and give nothing.
        encoded: The rows of a split.
        metric: The metric that decides.

    Returns:
        One value per class: the share of the class for accuracy, 0 for Matthews.
    """
    if task.kind != "classification" or metric not in task.metrics:
        return ()
    found = []
    for label in range(task.num_labels):
        logits = np.zeros((len(encoded), task.num_labels), np.float32)
        logits[:, label] = 1.0
        found.append(float(task.score(logits, encoded)[metric]))
    return tuple(found)
