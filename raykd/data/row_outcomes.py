"""What each row adds to a metric: the outcome of a run row by row, whatever the metric is.

The outcomes of a run are one value per row whose mean is the metric. Of a mean over rows they are
its values: 1 or 0 for a row that is right or wrong. Of other metrics they are the pseudo-values of
the jackknife, ``N * metric - (N - 1) * metric without the row``, whose mean is the metric up to the
bias of order 1 / N that the jackknife removes (Tukey, 1958). Two arms are compared on a sample of
rows by the differences of their outcomes.

Axes: N row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from raykd.data import metrics
from raykd.data.base import Array

_CHUNK = 2_000_000  # values of a block of pairs of rows


def pseudo_values(whole: float, without: Array) -> Array:
    """The pseudo-values of a metric.

    Args:
        whole: The metric of all rows.
        without: The metric without each row, ``[N]``.
    """
    n = len(without)
    array: Array = n * whole - (n - 1) * without
    return array


def means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Metrics that are means of one value per row."""
    return {name: sum(of) / len(of) for name, of in values.items()}


def of_classes(metric: str, logits: Array, labels: Array) -> Array:
    """Outcomes of a metric of classification.

    Rows with the same prediction and label are alike, so each of these pairs is left out once.

    Args:
        metric: A key of `raykd.data.metrics.CLASSIFICATION`.
        logits: ``[N, C]``.
        labels: ``[N]``.
    """
    predicted = logits.argmax(axis=1)
    if metric == "accuracy":
        right: Array = (predicted == labels).astype(np.float64)
        return right
    measure = metrics.CLASSIFICATION[metric]
    if len(labels) < 2:
        return np.full(len(labels), measure(predicted, labels))
    _, first, place = np.unique(
        np.stack([predicted, labels]), axis=1, return_index=True, return_inverse=True
    )
    keep = np.ones(len(labels), bool)
    without = np.empty(len(first))
    for k, row in enumerate(first):
        keep[row] = False
        without[k] = measure(predicted[keep], labels[keep])
        keep[row] = True
    return pseudo_values(measure(predicted, labels), without[place.ravel()])


def of_values(metric: str, logits: Array, labels: Array) -> Array:
    """Outcomes of a correlation of predicted values ``[N, 1]`` with scores ``[N]``.

    Args:
        metric: A key of `raykd.data.metrics.REGRESSION`.
        logits: ``[N, 1]``.
        labels: ``[N]``.
    """
    predicted, labels = logits[:, 0].astype(np.float64), labels.astype(np.float64)
    whole = metrics.REGRESSION[metric](predicted, labels)
    if len(labels) < 3:
        return np.full(len(labels), whole)
    without = {"pearson": _pearson_without, "spearman": _spearman_without}[metric]
    return pseudo_values(whole, without(predicted, labels))


def of_ratio(numerators: Array, denominators: Array) -> Array:
    """Outcomes of a ratio of two sums over rows, such as a mean over tokens.

    Args:
        numerators: ``[N]``.
        denominators: ``[N]``.
    """
    above, below = numerators.sum(), denominators.sum()
    left = below - denominators
    without = np.divide(above - numerators, left, out=np.zeros(len(left)), where=left > 0)
    return pseudo_values(float(above / below) if below else 0.0, without)


def _pearson_without(x: Array, y: Array) -> Array:
    """Pearson's correlation without each row, from the sums of all rows."""
    n = len(x) - 1
    x, y = x - x.mean(), y - y.mean()
    return _correlation(x @ y - x * y - x * y / n, x @ x - x**2 - x**2 / n, y @ y - y**2 - y**2 / n)


def _spearman_without(x: Array, y: Array) -> Array:
    """Spearman's correlation without each row.

    Without a row, those above it move down by one rank, and those that tie with it by half of one.
    """
    from scipy.stats import rankdata

    total, n = len(x), len(x) - 1
    rank_x, rank_y = rankdata(x), rankdata(y)
    sums = np.empty((3, total))
    step = max(_CHUNK // total, 1)
    for begin in range(0, total, step):
        rows = slice(begin, begin + step)
        new_x, new_y = (
            rank - 0.5 * ((of > of[rows, None]).astype(np.float64) + (of >= of[rows, None]))
            for rank, of in ((rank_x, x), (rank_y, y))
        )
        own_x, own_y = rank_x[rows] - 0.5, rank_y[rows] - 0.5  # the row itself, to be taken out
        for k, (a, b, of_a, of_b) in enumerate([
            (new_x, new_y, own_x, own_y), (new_x, new_x, own_x, own_x), (new_y, new_y, own_y, own_y)
        ]):  # fmt: skip
            sums[k, rows] = np.einsum("ij,ij->i", a, b) - of_a * of_b
    return _correlation(*(sums - n * (total / 2) ** 2))


def _correlation(covariance: Array, spread_x: Array, spread_y: Array) -> Array:
    """Correlations from sums of products, 0 where either side is constant."""
    least = 1e-12 * max(float(spread_x.max()), float(spread_y.max()), 1e-300)
    varies = (spread_x > least) & (spread_y > least)
    correlation = np.zeros(len(covariance))
    correlation[varies] = covariance[varies] / np.sqrt(spread_x[varies] * spread_y[varies])
    array: Array = np.clip(correlation, -1.0, 1.0)
    return array
