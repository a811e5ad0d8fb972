"""Metrics of classification and regression, with the conventions of the GLUE benchmark.

They equal those of scikit-learn to the last bit, and the correlations those of scipy up to
rounding, wherever these have a value; tests compare them. Calling scikit-learn instead would add
54 MB to the installation, and checks of its arguments that take ten times as long as the metrics,
to replace forty lines.

All are higher-is-better and defined for every input: where a coefficient has no value (a constant
prediction, say) it is 0.0.

Axes: N row, C class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from raykd.data.base import Array
from raykd.errors import DataError

Metric = Callable[[Array, Array], float]
"""Takes predictions and labels, both ``[N]``."""


def accuracy(predicted: Array, labels: Array) -> float:
    """Share of rows predicted right, in [0, 1]; class ids, ``[N]``."""
    return float(np.mean(predicted == labels))


def f1(predicted: Array, labels: Array) -> float:
    """F1 of class 1, 0.0 when it is neither predicted nor present; class ids, ``[N]``."""
    hits = int(np.sum((predicted == 1) & (labels == 1)))
    total = int(np.sum(predicted == 1)) + int(np.sum(labels == 1))
    return 2 * hits / total if total else 0.0


def f1_macro(predicted: Array, labels: Array) -> float:
    """Mean over the classes that are predicted or present of their F1; class ids, ``[N]``."""
    there = np.unique(np.concatenate([predicted, labels]))
    return float(np.mean([f1(predicted == k, labels == k) for k in there]))


def matthews(predicted: Array, labels: Array) -> float:
    """Matthews correlation of class ids ``[N]``, any number of classes; 0.0 for a constant one."""
    there, place = np.unique(np.concatenate([predicted, labels]), return_inverse=True)
    table = np.zeros((len(there), len(there)))
    np.add.at(table, (place[len(predicted) :], place[: len(predicted)]), 1.0)
    truth, guess, total = table.sum(1), table.sum(0), table.sum()
    covariance = np.trace(table) * total - truth @ guess
    spread = (total**2 - guess @ guess) * (total**2 - truth @ truth)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def pearson(predicted: Array, labels: Array) -> float:
    """Linear correlation of values ``[N]``, 0.0 when either side is constant."""
    x, y = (_centred(values.astype(np.float64)) for values in (predicted, labels))
    return float(np.clip(x @ y, -1.0, 1.0))


def spearman(predicted: Array, labels: Array) -> float:
    """Correlation of the ranks of values ``[N]`` (ties get their mean rank), 0.0 for a constant."""
    from scipy.stats import rankdata

    return pearson(rankdata(predicted), rankdata(labels))


CLASSIFICATION: Mapping[str, Metric] = {
    "accuracy": accuracy,
    "f1": f1,
    "f1_macro": f1_macro,
    "matthews": matthews,
}
REGRESSION: Mapping[str, Metric] = {"pearson": pearson, "spearman": spearman}


def check_labels(labels: Array, classes: int | None) -> None:
    """Refuse labels that would count as mistakes of a model, or as nothing.

    Args:
        labels: Class ids or scores, ``[N]``.
        classes: How many classes there are; None for scores.

    Raises:
        DataError: Labels are not among the classes, or no numbers; says how many.
    """
    right = np.isfinite(labels) if classes is None else np.isin(labels, np.arange(classes))
    if not right.all():
        expected = "numbers" if classes is None else f"class ids from 0 to {classes - 1}"
        raise DataError(
            f"{int((~right).sum()):,} of {len(labels):,} labels are not {expected}, first: "
            f"row {int(np.argmin(right)) + 1} has {labels[np.argmin(right)]}",
            hint="the task must give an id for every label, 0 for the first of its labels",
        )


def score_classes(names: tuple[str, ...], logits: Array, labels: Array) -> dict[str, float]:
    """Metrics of class logits ``[N, C]`` against class ids ``[N]``; NaN if any logit is not finite.

    A NaN reaches the caller on purpose: a diverged model must not look like a bad one.

    Raises:
        DataError: Labels are not among the classes, which would count as mistakes of the model.
    """
    check_labels(labels, logits.shape[1])
    if not np.isfinite(logits).all():
        return dict.fromkeys(names, float("nan"))
    predicted = logits.argmax(axis=1)
    return {name: CLASSIFICATION[name](predicted, labels) for name in names}


def score_values(names: tuple[str, ...], logits: Array, labels: Array) -> dict[str, float]:
    """Metrics of predicted values ``[N, 1]`` against scores ``[N]``; NaN if any is not finite.

    Raises:
        DataError: Scores are not finite.
    """
    check_labels(labels, None)
    if not np.isfinite(logits).all():
        return dict.fromkeys(names, float("nan"))
    predicted = logits[:, 0]
    return {name: REGRESSION[name](predicted, labels) for name in names}


def _centred(values: Array) -> Array:
    """Differences from the mean, of length 1; all zero where the values are the same."""
    largest = np.abs(values).max()
    # Not by the spread: the mean of equal values may differ from them by rounding.
    if largest == 0 or (values == values[0]).all():
        return np.zeros_like(values)
    apart: Array = values / largest
    apart = apart - apart.mean()
    apart /= np.linalg.norm(apart)
    return apart
