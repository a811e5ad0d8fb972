"""Targets of several teachers together: their mean, or for each row those of one of them.

Axes: N row, C class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from raykd.data.base import Array
from raykd.data.kinds.base import TaskKind
from raykd.data.soft_labels import class_logits


def mean_logits(
    members: Mapping[str, Array], weights: Mapping[str, float], kind: TaskKind
) -> Array:
    """The logits of the mean of what teachers hold probable, float32 ``[N, C]``.

    Of classes it is the mean of the probabilities, of scores that of the scores.

    Args:
        members: Logits ``[N, C]`` of each teacher.
        weights: The share of each; they add up to 1.
        kind: Of the task.
    """
    logits = {name: array.astype(np.float64) for name, array in members.items()}
    if not kind.has_class_names:
        scores = [weights[name] * array for name, array in logits.items()]
        return np.asarray(np.sum(scores, axis=0), np.float32)
    probable = _sigmoid if kind.is_binary else _softmax
    mean = np.sum([weights[name] * probable(array) for name, array in logits.items()], axis=0)
    return class_logits(mean, kind)


def routed_logits(members: Mapping[str, Array], routes: Sequence[str]) -> Array:
    """The logits of the teacher of each row, ``[N, C]``.

    Args:
        members: Logits ``[N, C]`` of each teacher.
        routes: The teacher of every row.
    """
    return np.stack([members[name][row] for row, name in enumerate(routes)])


def _softmax(logits: Array) -> Array:
    mass = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(mass / mass.sum(axis=1, keepdims=True))


def _sigmoid(logits: Array) -> Array:
    # Of either sign without overflow.
    half = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1 / (1 + half), half / (1 + half)))
