"""The outputs of a teacher that ran elsewhere, read next to the rows of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from raykd.data.base import Examples, PlainTokenizer, Task, TokenizedDataset
from raykd.data.batch import LABELLED
from raykd.data.keys import at_key
from raykd.data.row_checks import check_ends
from raykd.data.teacher_columns import (
    KEY,
    LOGPROBS,
    PLACES,
    SCORES,
    TEXTS,
    scores_of,
)
from raykd.data.token_logprobs import aligned
from raykd.data.token_texts import TokenTexts
from raykd.data.unlabelled import with_labelled
from raykd.errors import DataError
from raykd.models.signals.generations import Generations
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.given_outputs import GivenOutputs, given_logits, given_top_k
from raykd.teachers.inputs import scored_roles


def given_outputs(
    task: Task,
    rows: Mapping[str, Examples],
    splits: Mapping[str, TokenizedDataset],
    tokenizer: Any,
    max_length: int,
) -> GivenOutputs:
    """What the columns say, for the rows as students read them.

    Args:
        task: The task.
        rows: Its rows by role.
        splits: The same as the student reads them.
        tokenizer: The student's.
        max_length: Most tokens of a row.

    Raises:
        DataError: The rows of the task are not those of a file, are read in parts, or do not fit
            what the file has of them.
    """
    train = rows["train"]
    if not {SCORES, TEXTS, LOGPROBS} & train.fields.keys():
        raise DataError(
            f"rows of {task.name} are of no file, so that nothing can stand next to them",
            hint="describe a task of your own, with a file of its rows",
        ).at(KEY)
    texts = {}
    if TEXTS in train.fields:
        encoded = with_responses(task, train, train.fields[TEXTS], tokenizer, max_length)
        end = tokens_of(splits).end
        with at_key(f"{KEY}.responses"):
            check_ends(encoded, train.fields[PLACES], end, max_length)
        texts[Generations().texts] = encoded
    return GivenOutputs(
        recorded=recorded_fields(task, train, splits),
        scores=scores_of_roles(task, rows, splits),
        texts=texts,
    )


def recorded_fields(
    task: Task, train: Examples, splits: Mapping[str, TokenizedDataset], key: str = KEY
) -> CachedOutputs | None:
    """What stands in fields of the train rows, as if it had been recorded; None for nothing.

    Args:
        task: The task.
        train: The rows.
        splits: As the student reads them.
        key: What of the search space says where it is from.
    """
    if (scores := scores_of(train)) is not None:
        _check_parts(task, train, splits["train"], key)
        return given_logits(scores)
    if LOGPROBS not in train.fields:
        return None
    tokens = TokenTexts(tokens_of(splits))
    with at_key(f"{KEY}.logprobs" if key == KEY else key):
        ids, logs = aligned(train.fields[LOGPROBS], splits["train"], tokens, train.fields[PLACES])
    return given_top_k(ids, logs, max(tokens.texts) + 1)


def tokens_of(splits: Mapping[str, TokenizedDataset]) -> PlainTokenizer:
    """The tokenizer of rows that are answered in text."""
    references = splits["validation"].references
    assert references is not None
    assert references.tokens is not None
    return references.tokens


def with_responses(
    task: Task, train: Examples, texts: Sequence[str], tokenizer: Any, max_length: int
) -> TokenizedDataset:
    """The train rows with other responses."""
    fields = {name: of for name, of in train.fields.items() if name != LABELLED}
    with_texts = replace(
        train, texts=(train.texts[0], tuple(texts), *train.texts[2:]), fields=fields
    )
    encoded = replace(task.encode(with_texts, tokenizer, max_length), references=None)
    if LABELLED not in train.fields:
        return encoded
    return with_labelled(encoded, train.fields[LABELLED])


def _check_parts(task: Task, rows: Examples, encoded: TokenizedDataset, key: str) -> None:
    """Refuse rows of which a model reads several parts.

    Raises:
        DataError: There are more encoded rows than rows.
    """
    if len(encoded) != len(rows):
        raise DataError(
            f"a model reads the {len(rows):,} rows of {task.name} in {len(encoded):,} parts, and "
            "the teacher's outputs are one a row",
            hint="choose a task of whole rows",
        ).at(key)


def scores_of_roles(
    task: Task, rows: Mapping[str, Examples], splits: Mapping[str, TokenizedDataset]
) -> dict[str, Mapping[str, float]]:
    """The metrics of the given outputs, of every role that has some."""
    metrics = {}
    for role in scored_roles(splits):
        logits = scores_of(rows[role])
        if logits is not None:
            metrics[role] = task.score(logits, splits[role])
    return metrics
