"""Questions with given choices: each choice is one encoded row, right or wrong.

A row is a question, so that sampling and holding out never tear its choices apart.

Axes: N encoded row (a choice), Q question, C class (wrong, right).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raykd.data import columns, metrics, row_outcomes
from raykd.data.base import Array, EvalReferences, Examples, TokenizedDataset
from raykd.data.encode import encode
from raykd.data.files import FileTask
from raykd.data.squad_metrics import answer_values
from raykd.data.table import Table

WRONG_RIGHT = ("wrong", "right")


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question.

    Attributes:
        context: What is read first.
        choices: Second texts, one per choice.
        right: Which of them are right.
        names: What each choice stands for; the choices themselves where empty.
        accepted: Answers in words that count as right, for tasks that are scored by words.
    """

    context: str
    choices: tuple[str, ...]
    right: tuple[bool, ...]
    names: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChoiceTask(FileTask):
    """A task on questions with choices.

    Attributes:
        read: Questions from raw columns.
        scores: Every metric from the choice that is most likely right in each question.
        outcomes: What each question adds to each metric.
        predictions: What is predicted for each question, in words.
    """

    read: Callable[[Table], Iterable[Question]]
    scores: Callable[[Array, TokenizedDataset], Mapping[str, float]]
    outcomes: Callable[[Array, TokenizedDataset], Mapping[str, Array]]
    predictions: Callable[[Array, TokenizedDataset], Sequence[str]]
    labels: tuple[str, ...] = WRONG_RIGHT

    def read_table(self, table: Table) -> Examples:
        """One row per question; its label is the number of its first right choice, or -1."""
        questions = list(self.read(table))
        rows = columns.checked(
            [tuple(q.context for q in questions)],
            np.array([q.right.index(True) if any(q.right) else -1 for q in questions], np.int64),
            table.origin,
        )
        fields: dict[str, tuple[Any, ...]] = {
            "choices": tuple(q.choices for q in questions),
            "right": tuple(q.right for q in questions),
            "names": tuple(q.names or q.choices for q in questions),
            "accepted": tuple(q.accepted for q in questions),
        }
        return Examples(texts=rows.texts, labels=rows.labels, fields=fields)

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """One pair of texts per choice; the longer text is cut first."""
        choices = rows.fields["choices"]
        counts = [len(of) for of in choices]
        contexts = [t for t, n in zip(rows.texts[0], counts, strict=True) for _ in range(n)]
        flat = Examples(
            texts=(tuple(contexts), tuple(c for of in choices for c in of)),
            labels=np.array([r for of in rows.fields["right"] for r in of], np.int64),
        )
        flat_rows = encode(flat, tokenizer, max_length)
        return TokenizedDataset(
            input_ids=flat_rows.input_ids,
            token_type_ids=flat_rows.token_type_ids,
            offsets=flat_rows.offsets,
            labels=flat_rows.labels,
            truncated=flat_rows.truncated,
            references=EvalReferences(
                groups=np.repeat(np.arange(len(rows)), counts),
                answers=rows.fields["accepted"],
                texts=tuple(n for of in rows.fields["names"] for n in of),
            ),
        )

    def score(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
        """Every metric of the task, from the logits of its choices, ``[N, 2]``."""
        if not np.isfinite(logits).all():
            return dict.fromkeys(self.metrics, float("nan"))
        return self.scores(logits, encoded)

    def row_outcomes(self, metric: str, logits: Array, encoded: TokenizedDataset) -> Array | None:
        """What each question adds to a metric."""
        return self.outcomes(logits, encoded)[metric]

    def row_predictions(self, logits: Array, encoded: TokenizedDataset) -> Sequence[str]:
        """What is predicted for each question."""
        return self.predictions(logits, encoded)


def _references(encoded: TokenizedDataset) -> EvalReferences:
    assert encoded.references is not None
    return encoded.references


def chosen(logits: Array, encoded: TokenizedDataset) -> Array:
    """The encoded row of each question that is most likely right, ``[Q]``; the first of equals."""
    groups = _references(encoded).groups
    order = np.lexsort((np.arange(len(groups)), logits[:, 0] - logits[:, 1], groups))
    first: Array = order[np.unique(groups[order], return_index=True)[1]]
    return first


def chosen_names(logits: Array, encoded: TokenizedDataset) -> list[str]:
    """What the most likely choice of each question stands for."""
    return [_references(encoded).texts[row] for row in chosen(logits, encoded)]


def names_of_right(logits: Array, encoded: TokenizedDataset) -> list[str]:
    """The choices of each question that are taken for right, with ``|`` between them (MultiRC)."""
    of = _references(encoded)
    _, group = np.unique(of.groups, return_inverse=True)
    names: list[list[str]] = [[] for _ in range(group.max() + 1)]
    for row in np.flatnonzero(logits.argmax(axis=1) == 1):
        names[group[row]].append(of.texts[row])
    return [" | ".join(own) for own in names]


def right_choices(logits: Array, encoded: TokenizedDataset) -> Mapping[str, Array]:
    """Whether the most likely choice of each question is right, ``[Q]``, as ``accuracy``."""
    return {"accuracy": encoded.labels[chosen(logits, encoded)]}


def choice_accuracy(logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
    """Share of questions whose most likely choice is right; logits of choices, ``[N, 2]``."""
    return {"accuracy": float(right_choices(logits, encoded)["accuracy"].mean())}


def all_choices(logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
    """F1 over all N choices, and the share of questions with every choice right (MultiRC)."""
    predicted = logits.argmax(axis=1)
    hits = predicted == encoded.labels
    _, group = np.unique(_references(encoded).groups, return_inverse=True)
    whole = np.bincount(group, ~hits) == 0
    return {"f1_a": metrics.f1(predicted, encoded.labels), "exact_match": float(whole.mean())}


def outcomes_of_choices(logits: Array, encoded: TokenizedDataset) -> Mapping[str, Array]:
    """What each of the Q questions adds to the metrics of `all_choices`, ``[Q]``."""
    predicted = logits.argmax(axis=1)
    _, group = np.unique(_references(encoded).groups, return_inverse=True)
    wrong = np.bincount(group, predicted != encoded.labels)
    hits = np.bincount(group, (predicted == 1) & (encoded.labels == 1))
    both = np.bincount(group, (predicted == 1).astype(np.int64) + (encoded.labels == 1))
    return {
        "f1_a": row_outcomes.of_ratio(2 * hits, both),
        "exact_match": (wrong == 0).astype(np.float64),
    }


def free_text_values(logits: Array, encoded: TokenizedDataset) -> Mapping[str, Array]:
    """Exact match and F1 of each of the Q questions, ``[Q]``; see `free_text_answer`."""
    references = _references(encoded)
    picked = chosen(logits, encoded)
    accepted = [references.answers[references.groups[row]] for row in picked]
    values = answer_values(chosen_names(logits, encoded), accepted)
    return {name: np.asarray(of) for name, of in values.items()}


def free_text_answer(logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
    """Exact match and F1 of the words that the most likely choice stands for (ReCoRD)."""
    values = free_text_values(logits, encoded)
    return row_outcomes.means({name: of.tolist() for name, of in values.items()})
