"""Targets of several teachers together: their mean, or for each row those of one of them.

Axes: N row, C class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raykd.data.base import Array, Examples, Task, TokenizedDataset
from raykd.data.kinds.base import TaskKind
from raykd.data.route_column import ROUTE
from raykd.data.soft_labels import class_logits
from raykd.errors import DataError
from raykd.teachers.given_outputs import GivenOutputs, given_logits
from raykd.teachers.inputs import scored_roles
from raykd.teachers.prepared_task import PreparedTask


@dataclass(frozen=True, kw_only=True, slots=True)
class Combination:
    """How teachers are combined.

    Attributes:
        name: What the combination is called.
        weights: The share of each in their mean, where there are no routes.
        routes: The teacher of rows, by their value of the column; None for a mean.
    """

    name: str
    weights: Mapping[str, float]
    routes: Mapping[str, str] | None

    def logits(self, members: Mapping[str, Array], rows: Examples, kind: TaskKind) -> Array:
        """The logits of a combination on rows, ``[N, C]``.

        Args:
            members: Logits ``[N, C]`` of each teacher.
            rows: The rows.
            kind: Of the task.
        """
        if self.routes is None:
            return mean_logits(members, self.weights, kind)
        return routed_logits(members, [self.routes[value] for value in rows.fields[ROUTE]])


def combined_outputs(
    combination: Combination,
    task: Task,
    rows: Mapping[str, Examples],
    splits: Mapping[str, TokenizedDataset],
    members: Mapping[str, PreparedTask],
) -> GivenOutputs:
    """What a combination of teachers says; it has a score where all of them have.

    Args:
        combination: How they are combined.
        task: The task.
        rows: Its rows by role.
        splits: The same as teachers read them.
        members: Those that are combined, by name.

    Raises:
        DataError: One of them has no outputs on the train rows.
    """
    logits = {}
    for name, prepared in members.items():
        if prepared.cached_outputs is None:
            raise DataError(
                f"teacher '{name}' has no outputs on the rows of {task.name} for "
                f"'{combination.name}' to combine",
                hint="let an arm of its own learn from its logits, e.g. kd",
            )
        logits[name] = prepared.cached_outputs.all_logits()
    scores = {}
    for role in scored_roles(splits):
        of_role = {n: p.scored_logits[role] for n, p in members.items() if role in p.scored_logits}
        is_known = combination.routes is None or ROUTE in rows[role].fields
        if is_known and of_role.keys() == members.keys():
            combined = combination.logits(of_role, rows[role], task.task_kind)
            scores[role] = task.score(combined, splits[role])
    recorded = given_logits(combination.logits(logits, rows["train"], task.task_kind))
    return GivenOutputs(recorded=recorded, scores=scores)


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
