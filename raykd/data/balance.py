"""How often rows count in training: weighted sources, balanced classes.

Axes: N row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from raykd.data.base import Array, Examples
from raykd.data.batch import ROW_WEIGHT
from raykd.data.notes import note
from raykd.data.user_rows import WEIGHT
from raykd.errors import DataError

_REPEAT = 4  # a random stream of its own, see `raykd.data.hold_out`


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """What is done about classes of different sizes.

    Attributes:
        class_weights: Whether the loss of the task weights rows so that classes count alike.
        oversample: Whether rows of small classes are repeated.
        seed: Decides which rows are repeated.
    """

    class_weights: bool = False
    oversample: bool = False
    seed: int = 0


def check_classes(balance: Balance, *, has_classes: bool, name: str) -> None:
    """Refuse to balance classes where there are none.

    Args:
        balance: What is wanted.
        has_classes: Whether every row has one class.
        name: The task.

    Raises:
        DataError: There are none.
    """
    wanted = [("class_weights", balance.class_weights), ("oversample", balance.oversample)]
    for key, is_wanted in wanted:
        if is_wanted and not has_classes:
            raise DataError(
                f"rows of {name} have no classes that could be balanced", hint=f"remove {key}"
            ).at(f"data.{key}")


def resampled(rows: Examples, balance: Balance, name: str) -> Examples:
    """Train rows as often as their sources and classes ask for.

    Args:
        rows: Train rows.
        balance: What is wanted.
        name: The task, for the note that counts them.
    """
    times = np.ones(len(rows))
    if WEIGHT in rows.fields:
        times = np.asarray(rows.fields[WEIGHT], np.float64)
        rows = replace(rows, fields={k: v for k, v in rows.fields.items() if k != WEIGHT})
    if balance.oversample:
        sizes = np.bincount(rows.labels, weights=times)
        times = times * sizes.max() / sizes[rows.labels]
    if (times == 1).all():
        return rows
    balanced = rows.take(repeated(times, balance.seed))
    note(f"{name}: {len(rows):,} rows count as {len(balanced):,} in training")
    return balanced


def weighted(rows: Examples, balance: Balance) -> Examples:
    """Train rows with their weights in the loss of the task.

    Args:
        rows: Train rows.
        balance: What is wanted.
    """
    if not balance.class_weights:
        return rows
    weights = inverse_frequency(rows.labels).astype(np.float32)
    return replace(rows, fields={**rows.fields, ROW_WEIGHT: tuple(weights.tolist())})


def repeated(times: Array, seed: int) -> Array:
    """Row numbers, each as often as it counts, in their order.

    Args:
        times: How often each row counts, ``[N]``; of the fractional part of equal numbers, so many
            rows get one more, as near as whole rows allow.
        seed: Decides which of them.
    """
    whole = np.floor(times).astype(np.int64)
    order = np.random.default_rng([seed, _REPEAT]).permutation(len(times))
    # A row is due where the running sum passes a half: as many rows as the sum says.
    due = np.empty(len(times), np.int64)
    for count in np.unique(times):
        rows = order[times[order] == count]
        steps = np.floor(np.arange(1, len(rows) + 1) * (count % 1) + 0.5)
        due[rows] = np.diff(steps, prepend=0.0)
    return np.repeat(np.arange(len(times)), whole + due)


def inverse_frequency(labels: Array) -> Array:
    """Weights of rows by which all classes that occur count alike; their mean is 1.

    Args:
        labels: Class ids, ``[N]``.
    """
    sizes = np.bincount(labels)
    weights: Array = len(labels) / (np.count_nonzero(sizes) * sizes[labels])
    return weights
