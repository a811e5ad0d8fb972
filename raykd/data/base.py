"""Tasks, tokenised rows and batches: the types that data flows through.

Axes: N row, B batch, L position, C class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from raykd.data.batch import NO_LABEL as NO_LABEL
from raykd.data.batch import PADDED as PADDED
from raykd.data.batch import Array as Array
from raykd.data.batch import Batch as Batch
from raykd.data.batch import moved as moved
from raykd.data.kinds.base import TaskKind
from raykd.data.plain_tokenizer import PlainTokenizer as PlainTokenizer
from raykd.data.source_settings import DataSettings as DataSettings
from raykd.data.task_kinds import KINDS as KINDS
from raykd.data.task_kinds import TEXT_KINDS as TEXT_KINDS
from raykd.data.task_kinds import TOKEN_KINDS as TOKEN_KINDS
from raykd.data.task_kinds import task_kind
from raykd.errors import DataError

PREDICT, EXPLAIN = "predict", "explain"
"""Names of the two tasks of step-by-step distillation, which its prompts begin with."""
PLAIN = "plain"
"""Name of the plain rows, among the views of a batch."""


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of one split: texts and labels, in columns of equal length.

    A row is what is sampled, held out and counted; tokenising may turn it into several encoded rows
    (one per choice, one per window of a long text).

    Attributes:
        texts: One or more text columns.
        labels: Class ids (int64) or scores (float32), shape ``[N]``.
        fields: Further columns of the task, e.g. accepted answers; plain values, one per row.
        left_out: Rows that were read besides these and cannot be used.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: Array
    fields: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    left_out: int = 0

    def __post_init__(self) -> None:
        columns = [*self.texts, *self.fields.values()]
        if any(len(column) != len(self.labels) for column in columns):
            lengths = ", ".join(str(len(column)) for column in columns)
            raise DataError(
                f"rows have {len(self.labels)} labels, but columns of {lengths} values",
                hint="every column needs one value a row",
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Array) -> Examples:
        """The rows of the given positions, in that order."""
        texts = tuple(tuple(column[i] for i in rows) for column in self.texts)
        fields = {name: tuple(values[i] for i in rows) for name, values in self.fields.items()}
        return Examples(texts=texts, labels=self.labels[rows], fields=fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalReferences:
    """How the predictions for encoded rows are combined, and what they are compared with.

    Only splits that are scored carry it, and only those of tasks whose labels do not say it all.

    Axes: N encoded row, Q question, P token of all encoded rows.

    Attributes:
        groups: int64 ``[N]``, the question that an encoded row belongs to.
        answers: Accepted answers of each question, Q of them.
        texts: A text per encoded row (the candidate it stands for) or per question (the context
            that spans are cut from); the task knows which.
        spans: int32 ``[P, 2]``, the characters of its text that a token covers; -1 where it is no
            part of the text.
        tokens: How generated tokens become text, for tasks that generate.
        candidates: Rows with every response that may be chosen, for tasks that choose the most
            likely one in place of generating; its own references say whose they are (`groups`) and
            what they say (`texts`).
    """

    groups: Array
    answers: tuple[tuple[str, ...], ...] = ()
    texts: tuple[str, ...] = ()
    spans: Array | None = None
    tokens: PlainTokenizer | None = None
    candidates: TokenizedDataset | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizedDataset:
    """A tokenised split without padding: one flat array and the offsets of the rows in it.

    Attributes:
        input_ids: int32 ``[sum of lengths]``.
        token_type_ids: int8, same shape.
        offsets: int64 ``[N + 1]``; row i is ``input_ids[offsets[i]:offsets[i + 1]]``.
        labels: int64 or float32 ``[N]``; int64 ``[N, 2]``, first and last token, for spans; for
            token labels int64 ``[sum of lengths]``, -100 where there is none.
        truncated: How many rows were cut to the maximum length.
        cut_responses: How many of them lost the end of what is to be written.
        references: What predictions are compared with, where the labels do not say it.
        token_labels: Whether there is a label for every token.
        label_offsets: int64 ``[N + 1]``, where the labels of a row begin, when they are those of
            another text than `input_ids` (what a decoder writes); None when they are aligned.
        views: Prompt views of the same rows, by name.
        columns: Further arrays with one entry per row, ``[N, ...]``, by name; batches carry them.
    """

    input_ids: Array
    token_type_ids: Array
    offsets: Array
    labels: Array
    truncated: int = 0
    cut_responses: int = 0
    references: EvalReferences | None = None
    token_labels: bool = False
    label_offsets: Array | None = None
    views: Mapping[str, TokenizedDataset] = field(default_factory=dict)
    columns: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def arrays(self) -> Iterator[Array]:
        """Every array, those of the views included."""
        yield from (self.input_ids, self.token_type_ids, self.offsets, self.labels)
        if self.label_offsets is not None:
            yield self.label_offsets
        yield from self.columns.values()
        if self.references is not None:
            yield self.references.groups
            if self.references.spans is not None:
                yield self.references.spans
            if self.references.candidates is not None:
                yield from self.references.candidates.arrays()
        for other in self.views.values():
            yield from other.arrays()

    def lengths(self) -> Array:
        """Tokens per row, ``[N]``; those of both texts, where there are two."""
        own = np.diff(self.offsets)
        return own if self.label_offsets is None else own + np.diff(self.label_offsets)

    def label_counts(self) -> Array:
        """How many tokens of each row have a label, ``[N]``; for token labels."""
        borders = self.offsets if self.label_offsets is None else self.label_offsets
        counts: Array = np.add.reduceat(self.labels != NO_LABEL, borders[:-1], dtype=np.int64)
        return counts

    def label_rows(self) -> list[Array]:
        """The labels of each row, without tokens that have none; for token labels."""
        borders = self.offsets if self.label_offsets is None else self.label_offsets
        return [row[row != NO_LABEL] for row in np.split(self.labels, borders[1:-1])]

    def prompt(self, row: int) -> Array:
        """Token ids of a row before the first token of its last response, int64 ``[L]``."""
        own = self.input_ids[self.offsets[row] : self.offsets[row + 1]]
        if self.label_offsets is not None:
            return own
        is_written = self.labels[self.offsets[row] : self.offsets[row + 1]] != NO_LABEL
        if not is_written.any():
            return own  # nothing is to be written: all of it is the prompt
        begins = np.flatnonzero(is_written & ~np.append(False, is_written[:-1]))
        array: Array = own[: int(begins[-1]) + 1]
        return array


class Task(ABC):
    """A task: where its rows are, how they are tokenised, what is measured.

    Attributes:
        name: The YAML name, e.g. ``glue/rte``.
        kind: The name of its kind, one of `KINDS`; chooses the head and the task loss.
        labels: Class names in id order; empty for regression.
        metric: The metric that decides; higher is better.
        metrics: All metrics reported, `metric` among them.
        about: One sentence for ``raykd show``.
        extra_eval_splits: Splits that are evaluated, too, whenever `extra_eval_with` is the report
            split, by the suffix of their metrics (``mismatched`` to ``validation_mismatched``).
        extra_eval_with: The split that they accompany.
        tally_size: Numbers in a `tally`; 0 for tasks that are scored as a whole.
        text_metrics: Metrics of generated text, among `metrics`; they cost a generation. Of the
            most likely choice where rows carry `EvalReferences.candidates`.
        max_new_tokens: Most tokens that are generated for a row; 0 where nothing is.
        cut_first: What rows that are too long lose first, in words; empty: their end.
        units: What metrics of its own are: ``share``, ``token_share``, ``correlation``,
            ``log_likelihood``, ``divergence``, ``bits``, ``milliseconds`` or ``number``, by name.
            Those of the package are known.
    """

    kind: str
    name: str
    labels: tuple[str, ...]
    metric: str
    metrics: tuple[str, ...]
    about: str
    cut_first: str = ""
    units: Mapping[str, str] = MappingProxyType({})
    extra_eval_splits: Mapping[str, str] = MappingProxyType({})
    extra_eval_with: str = "validation"

    @property
    def task_kind(self) -> TaskKind:
        """Its kind."""
        return task_kind(self.kind)

    @property
    def has_row_classes(self) -> bool:
        """Whether the labels of rows are classes, one each."""
        return False

    def class_counts(self, rows: Examples) -> Array | None:
        """Rows of each class, or words where these have labels, int64 ``[C]``; None: no classes."""
        return None

    @property
    def num_labels(self) -> int:
        """Width of the logits."""
        return len(self.labels) or 1

    @property
    def reads_root(self) -> bool:
        """Whether its rows may be in files under ``data.root``."""
        return True

    @abstractmethod
    def splits(self, settings: DataSettings) -> tuple[str, ...]:
        """Names of the labelled splits that `settings` can reach, without reading rows."""

    @abstractmethod
    def load(self, split: str, settings: DataSettings) -> Examples:
        """Rows of one split, checked.

        Raises:
            DataError: Missing columns, labels out of range, no rows.
            SetupError: The data cannot be reached.
        """

    def read_of(self, rows: Examples) -> tuple[tuple[str, ...], ...]:
        """What a model reads of each row, in columns; the answer is not part of it."""
        choices = rows.fields.get("choices")
        choice_texts = () if choices is None else (tuple(repr(of) for of in choices),)
        return (*rows.texts, *choice_texts)

    @abstractmethod
    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """Tokenise rows; `tokenizer` is a ``PreTrainedTokenizerBase``."""

    def left_out(self, rows: Examples, tokenizer: Any, max_length: int) -> Array | None:
        """Rows that are left out because they are too long, bool ``[N]``; None: they are cut."""
        return None

    def views(
        self, rows: Examples, tokenizer: Any, max_length: int
    ) -> Mapping[str, TokenizedDataset]:
        """Prompt views of the rows, by name, for methods that name one."""
        return {}

    def teacher_prompts(
        self, rows: Examples, tokenizer: Any, max_length: int, *, with_response: bool = False
    ) -> TokenizedDataset:
        """Rationale prompts for the teacher, without responses.

        Args:
            rows: Prompts and responses.
            tokenizer: The teacher's.
            max_length: Maximum row length in tokens.
            with_response: Whether the prompt contains the response.
        """
        raise NotImplementedError(f"{self.name} has no prompts")

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The task's own loss, mean over the batch, a scalar; that of its kind."""
        return self.task_kind.loss(logits, batch)

    tally_size: int = 0
    text_metrics: tuple[str, ...] = ()
    max_new_tokens: int = 0

    def read_by(self, kind: str) -> Task:
        """The same task for models of a kind of their own, one of `TEXT_KINDS`.

        Args:
            kind: How the model generates text; empty for models that do not.
        """
        return self

    def score_texts(self, texts: Sequence[str], references: EvalReferences) -> Mapping[str, float]:
        """Metrics of generated text, every one of `text_metrics`.

        Args:
            texts: One per encoded row, generated or chosen.
            references: What they are compared with.
        """
        raise NotImplementedError(f"{self.name} generates no text")

    def tally(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sums over some tokens, ``[tally_size]``, that `tallied` makes metrics of.

        Of tasks on tokens: their logits are too many to keep, so they are scored some at a time.

        Args:
            logits: ``[M, C]``.
            labels: ``[M]``.
        """
        raise NotImplementedError(f"{self.name} is scored as a whole")

    def tallied(self, total: Array) -> Mapping[str, float]:
        """Every metric, from the sum of all tallies, ``[tally_size]``."""
        raise NotImplementedError(f"{self.name} is scored as a whole")

    def text_outcomes(
        self, metric: str, texts: Sequence[str], references: EvalReferences
    ) -> Array | None:
        """What each text adds to one of `text_metrics`, ``[N]``; None where that is not known."""
        return None

    def row_outcomes(self, metric: str, logits: Array, encoded: TokenizedDataset) -> Array | None:
        """What each row adds to a metric (`raykd.data.row_outcomes`), ``[N]``; None: not known."""
        return None

    def row_predictions(self, logits: Array, encoded: TokenizedDataset) -> Sequence[str] | None:
        """What is predicted for each row of `row_outcomes`, in words; None: not known."""
        return None

    @abstractmethod
    def score(self, logits: Array, encoded: TokenizedDataset) -> Mapping[str, float]:
        """Every metric of the task.

        Args:
            logits: ``[N, C]``; ``[N, 2, longest row]`` for spans; ``[number of token labels, C]``
                for token labels.
            encoded: The rows they were predicted for, with labels and references.
        """
