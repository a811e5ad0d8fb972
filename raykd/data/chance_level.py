"""Chance level: what a constant prediction for every row would score."""

from __future__ import annotations

from collections import Counter

import numpy as np

from raykd.data.base import Task, TokenizedDataset

MAX_RESPONSES = 5  # responses that are tried, of those that are accepted most often


def constant_scores(task: Task, encoded: TokenizedDataset, metric: str) -> tuple[float, ...]:
    """A metric of saying the same for every row.

    Args:
        task: What is scored.
        encoded: The rows of a split.
        metric: The metric that decides.

    Returns:
        One value per class: the share of the class for accuracy, 0 for Matthews. For metrics of
        generated text, one for each of the responses that are accepted most often. Empty for
        anything else, and where no two rows accept the same response.
    """
    if metric in task.text_metrics:
        return _of_responses(task, encoded, metric)
    kind = task.task_kind
    has_classes = kind.has_class_names and kind.is_categorical and kind.labels_of == "row"
    if not has_classes or metric not in task.metrics:
        return ()
    scores = []
    for label in range(task.num_labels):
        logits = np.zeros((len(encoded), task.num_labels), np.float32)
        logits[:, label] = 1.0
        scores.append(float(task.score(logits, encoded)[metric]))
    return tuple(scores)


def _of_responses(task: Task, encoded: TokenizedDataset, metric: str) -> tuple[float, ...]:
    references = encoded.references
    if references is None or not references.answers:
        return ()
    counts = Counter(of for accepted in references.answers for of in set(accepted))
    common = [text for text, count in counts.most_common(MAX_RESPONSES) if count > 1]
    size = len(references.answers)
    return tuple(float(task.score_texts([text] * size, references)[metric]) for text in common)
