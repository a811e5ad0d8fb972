"""The contract of a kind of task: what labels and logits belong to, the loss, how logits are read.

Everything that builds, runs, records, scores or distils models asks the kind; its name occurs in
its own file, where tasks and model families declare that they are of it or have a head for it, in
YAML and in records.

Axes: N row, B batch, L position, C class, M token with a label.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from raykd.data.batch import ROW_WEIGHT, Batch


class TaskKind(ABC):
    """What tasks of one kind have in common.

    Attributes:
        name: Its name in YAML, in records and in the heads of model families.
        labels_of: What a label, and a row of logits, belongs to: a ``row``, a ``span`` of it (two
            labels, each a position) or a ``token``.
        outputs: What its logits are, in the user's words.
        over_vocabulary: Whether logits are scores of the tokens of a vocabulary.
        generates: Whether models of it generate text; their logits are formed when they are read.
        is_joined: Whether a model reads the response after the prompt, as one text.
        is_categorical: Whether logits are scores of alternatives, so that a softmax makes sense.
        is_binary: Whether logits are scores of classes that are each a yes or no.
        has_class_names: Whether the outputs are the named classes of the task.
        has_head: Whether models of it have a layer of their own for its outputs.
        reads_apart: Whether a model reads the two texts of a row one by one, as if each was a row.
        problem_type: What Transformers calls it in a configuration; empty for nothing.
        peft_type: What PEFT calls it; empty for nothing.
        auto_mapping: Name of the table of Transformers' automatic classes that has the models with
            a head for it, by architecture.
    """

    name: ClassVar[str]
    auto_mapping: ClassVar[str]
    labels_of: ClassVar[Literal["row", "span", "token"]]
    outputs: ClassVar[str]
    over_vocabulary: ClassVar[bool] = False
    generates: ClassVar[bool] = False
    is_joined: ClassVar[bool] = False
    is_categorical: ClassVar[bool] = True
    is_binary: ClassVar[bool] = False
    has_class_names: ClassVar[bool] = False
    has_head: ClassVar[bool] = True
    reads_apart: ClassVar[bool] = False
    problem_type: ClassVar[str] = ""
    peft_type: ClassVar[str] = ""

    @abstractmethod
    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The loss on the labels, mean over what has one, a scalar in float32.

        Args:
            logits: As `logits` gives them for the batch.
            batch: The labels.
        """

    def as_read(self, batch: Batch, pad: int) -> Batch:
        """The rows of a batch as a model reads them.

        Args:
            batch: The rows.
            pad: The token that pads.
        """
        return batch

    def by_row(self, model_output: Any, read: Batch) -> Any:
        """The output of a model by the rows of the task.

        Args:
            model_output: A ``ModelOutput`` of Transformers.
            read: What it read, from `as_read`.
        """
        return model_output

    def logits(self, model_output: Any, batch: Batch) -> Tensor:
        """The logits of a batch, from the output of a model with a head for this kind.

        Where they are scores of a vocabulary they are not read from a head, but formed for the
        tokens with a label only, see `raykd.models.forward`.

        Args:
            model_output: As `by_row` gives it.
            batch: The rows.

        Returns:
            ``[B, C]``, ``[B, 2, L]`` for spans, ``[M, C]`` for the M tokens with a label.
        """
        logits: Tensor = model_output.logits
        return logits

    def head_outputs(self, classes: int) -> int:
        """Outputs of a model's head for this kind.

        Args:
            classes: Of the task, where its outputs are classes.
        """
        return classes if self.has_class_names else 1

    def shape(self, num_labels: int, longest: int) -> tuple[int, ...]:
        """The shape of the predictions for a row.

        Args:
            num_labels: Of the task.
            longest: Tokens of the longest row.
        """
        return (num_labels,)

    def blanked(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """Predictions in which positions beyond the end of a row do not count.

        Args:
            logits: Of all rows, ``[N, *shape]``.
            lengths: Tokens of each row, ``[N]``.
        """
        return logits


def mean_over_rows(of_rows: Tensor, batch: Batch) -> Tensor:
    """The mean of losses ``[B]`` of rows that have weights, whose mean is 1 over train."""
    return (batch.columns[ROW_WEIGHT] * of_rows).mean()


def squared_error(scores: Tensor, batch: Batch) -> Tensor:
    """The squared error of scores ``[B]``, mean over rows, which may have weights."""
    labels = batch.labels.float()
    if ROW_WEIGHT not in batch.columns:
        return F.mse_loss(scores, labels)
    return mean_over_rows(F.mse_loss(scores, labels, reduction="none"), batch)


class TokenKind(TaskKind):
    """A kind whose labels belong to tokens; logits are ``[M, C]``, row by row."""

    labels_of = "token"

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the M tokens that have a label; logits ``[M, C]``."""
        labels = batch.label_ids
        # The mean over no token is not a number, and a rank may have none.
        if not len(labels):
            return logits.float().sum()
        return F.cross_entropy(logits.float(), labels)
