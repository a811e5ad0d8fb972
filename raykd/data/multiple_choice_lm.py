"""Multiple choice for language models: the response is one of the choices of its row.

Choices are learnt as text and ranked: the choice with the highest likelihood is the answer, so
that nothing is generated. Sanh et al., 2022, https://arxiv.org/abs/2110.08207, score T0 so.

Axes: N row, C most choices of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from raykd.data.answer_choices import CHOICE_POSITION, CHOICE_TOKENS
from raykd.data.base import NO_LABEL, Array, EvalReferences, Examples, TokenizedDataset
from raykd.data.prompts import encode_prompts
from raykd.data.table import Table
from raykd.data.text_generation import Accuracy, Example, GenerationTask, rows_of, same_text


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceLMTask(GenerationTask):
    """A task on prompts with answer choices, of which one is to be written.

    Attributes:
        read: Prompts with their choices from raw columns.
    """

    read: Callable[[Table], Iterator[Example]]
    measure: Accuracy = field(default_factory=lambda: Accuracy(same_text))
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ("accuracy", "log_likelihood", "token_accuracy")
    text_metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens: int = 32

    def read_table(self, table: Table) -> Examples:
        """Prompts; for a decoder they end with the line, so that no token spans the border."""
        examples = list(self.read(table))
        if self.task_kind.is_joined:
            examples = [replace(example, after=f"{example.after}\n") for example in examples]
        return rows_of(examples, table)

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """The right responses as labels, every choice as a candidate, and what tells them apart."""
        encoded = super().encode(rows, tokenizer, max_length)
        assert encoded.references is not None
        candidates = encode_choices(rows, tokenizer, max_length, self.kind)
        at, choices = first_differences(candidates)
        references = replace(encoded.references, candidates=candidates)
        columns = {**encoded.columns, CHOICE_TOKENS: choices, CHOICE_POSITION: at}
        return replace(encoded, references=references, columns=columns)


def encode_choices(rows: Examples, tokenizer: Any, max_length: int, kind: str) -> TokenizedDataset:
    """Every choice of every row as the response to its prompt, in tokens as it is trained on.

    Args:
        rows: As for `encode_prompts`, with the field ``choices``.
        tokenizer: See there.
        max_length: See there.
        kind: See there.

    Returns:
        One encoded row per choice, row by row, that end of text included.
    """
    choices = rows.fields["choices"]
    owners = np.repeat(np.arange(len(rows)), [len(of) for of in choices])
    every = rows.take(owners)
    candidates = tuple(choice for of in choices for choice in of)
    encoded = encode_prompts(
        replace(every, texts=(every.texts[0], candidates)), tokenizer, max_length, kind
    )
    return replace(encoded, references=EvalReferences(groups=owners, texts=candidates))


def first_differences(candidates: TokenizedDataset) -> tuple[Array, Array]:
    """Where the choices of a row differ first, and the token that each of them has there.

    Up to that place all choices of a row are the same, so that a model that reads the right one has
    read the beginning of each. Mostly it is the first token of the response.

    Args:
        candidates: What `encode_choices` gives.

    Returns:
        Places int64 ``[N]``, from 0, and token ids int64 ``[N, C]``, `NO_LABEL` where a row has
        fewer choices than another. Choices of a row may share a token there: two of three, or equal
        ones (at place 0).
    """
    assert candidates.references is not None
    groups = candidates.references.groups
    responses = _responses(candidates)
    bounds = np.flatnonzero(np.diff(groups, prepend=-1, append=-1))
    own = [responses[begin:end] for begin, end in pairwise(bounds)]
    places = np.asarray([_first_difference(of) for of in own], np.int64)
    ids = np.full((len(own), max(len(of) for of in own)), NO_LABEL, np.int64)
    for row, (of, at) in enumerate(zip(own, places, strict=True)):
        ids[row, : len(of)] = [tokens[at] for tokens in of]
    return places, ids


def _responses(encoded: TokenizedDataset) -> list[Array]:
    """The tokens that have a label, of every row."""
    offsets = encoded.offsets if encoded.label_offsets is None else encoded.label_offsets
    rows = np.split(encoded.labels, offsets[1:-1])
    return [labels[labels != NO_LABEL] for labels in rows]


def _first_difference(of: Sequence[Array]) -> int:
    shortest = min(len(tokens) for tokens in of)
    differs = np.any([tokens[:shortest] != of[0][:shortest] for tokens in of], axis=0)
    # Responses end with a token of their own, so one is the beginning of another only if both are
    # the same; argmax is then 0.
    return int(np.argmax(differs))
