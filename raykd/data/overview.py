"""Looks at rows as a model reads them: how many, how long, which classes, samples.

Axes: N encoded row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raykd.data.base import NO_LABEL, Array, Examples, Task, TokenizedDataset
from raykd.data.batch import LABELLED
from raykd.data.unlabelled_files import labelled_examples

UNCUT = 1_000_000
"""Tokens of a row that nothing exceeds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Tokens of the rows of a role before any is cut.

    Attributes:
        median: Half of the rows are at most so long.
        most: 95 % of the rows are at most so long.
        longest: The longest row.
        cut: Rows that lose something.
    """

    median: int
    most: int
    longest: int
    cut: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One row as a model reads it.

    Attributes:
        read: The text of all tokens, special ones included.
        learnt: What the model learns to say of it.
    """

    read: str
    learnt: str


def class_counts(task: Task, rows: Mapping[str, Examples]) -> dict[str, dict[str, int]]:
    """Rows with a label, or words of them, by class and role; empty for tasks without classes."""
    every = {role: task.class_counts(labelled_examples(part)) for role, part in rows.items()}
    counts = {role: of for role, of in every.items() if of is not None}
    return {
        label: {role: int(of[k]) for role, of in counts.items()}
        for k, label in enumerate(task.labels if counts else ())
    }


def lengths(task: Task, rows: Examples, encoded: TokenizedDataset, tokenizer: Any) -> Lengths:
    """How long the rows of a role are.

    Args:
        task: Encodes them again where some were cut.
        rows: The rows.
        encoded: The same as they are trained on or scored.
        tokenizer: The one that `encoded` was made with.
    """
    whole = task.encode(rows, tokenizer, UNCUT) if encoded.truncated else encoded
    tokens: Array = whole.lengths()
    return Lengths(
        median=int(np.quantile(tokens, 0.5, method="higher")),
        most=int(np.quantile(tokens, 0.95, method="higher")),
        longest=int(tokens.max()),
        cut=encoded.truncated,
    )


def samples(task: Task, encoded: TokenizedDataset, tokenizer: Any, count: int) -> list[Sample]:
    """Some encoded rows, evenly spread over all of them."""
    rows = np.unique(np.linspace(0, len(encoded) - 1, min(count, len(encoded))).astype(int))
    return [_sample(task, encoded, tokenizer, int(row)) for row in rows]


def _sample(task: Task, encoded: TokenizedDataset, tokenizer: Any, row: int) -> Sample:
    ids = encoded.input_ids[encoded.offsets[row] : encoded.offsets[row + 1]]
    if encoded.token_labels:
        borders = encoded.offsets if encoded.label_offsets is None else encoded.label_offsets
        labels = encoded.labels[borders[row] : borders[row + 1]]
        learnt = labels[labels != NO_LABEL].tolist()
        if not task.task_kind.over_vocabulary:
            classes = " ".join(task.labels[k] for k in learnt)
            return Sample(read=tokenizer.decode(ids.tolist()), learnt=classes)
        # What decoders predict last is a label alone.
        if task.task_kind.is_joined:
            ids = np.append(ids, labels[-1:][labels[-1:] != NO_LABEL])
        return Sample(read=tokenizer.decode(ids.tolist()), learnt=tokenizer.decode(learnt))
    has_label = LABELLED not in encoded.columns or encoded.columns[LABELLED][row]
    learnt = _label(task, encoded.labels[row]) if has_label else "(no label)"
    return Sample(read=tokenizer.decode(ids.tolist()), learnt=learnt)


def _label(task: Task, label: Any) -> str:
    if task.task_kind.is_binary:
        names = [name for name, value in zip(task.labels, label, strict=True) if value]
        return ", ".join(names) or "no class"
    if not task.task_kind.has_class_names:
        return " to ".join(f"{value:g}" for value in np.atleast_1d(label))
    return task.labels[int(label)]
