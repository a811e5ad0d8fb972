"""What the rest of raykd knows of a model: its dimensions and its outputs.

Axes: B batch, L position, D hidden width, C class, H attention head, M token with a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from raykd.losses.targets import FullTeacherTarget, TeacherTarget
from raykd.losses.token_mask import Mask
from raykd.losses.vocabulary import LazyLogits
from raykd.models.signals.attention_maps import AttentionMap
from raykd.models.signals.base import Signal
from raykd.models.signals.features import FeatureTransform, Transformed
from raykd.models.signals.hidden_states import HiddenState


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDims:
    """The dimensions of a model that methods may depend on.

    Attributes:
        layers: Number of blocks; hidden states are numbered 0 (embeddings) to `layers`.
        hidden: Width of the hidden states.
        heads: Attention heads per block.
        vocabulary: Number of token ids.
        intermediate: Feed-forward neurons per block; None where heads and neurons of a family's
            blocks cannot be told apart.
        uneven: Whether some blocks have fewer heads or neurons than stated.
        positions: Maximum length of a row in tokens; None where positions are relative.
        family: Name of the family, e.g. ``bert``; empty where it is not known.
        lacks: Kinds of signal that it cannot give, each with the reason.
    """

    layers: int
    hidden: int
    heads: int
    vocabulary: int
    intermediate: int | None = None
    uneven: bool = False
    positions: int | None = None
    family: str = ""
    lacks: tuple[tuple[str, str], ...] = ()

    def lack(self, kind: str) -> str:
        """Why the model cannot give a kind of signal, in the user's words, or empty."""
        return dict(self.lacks).get(kind, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subnet:
    """A subnet: a narrower or shallower model with the same weights.

    Attributes:
        width: Share of the heads and feed-forward neurons of every block, in (0, 1]; the first
            ones are kept.
        depth: Share of the blocks, spread evenly, in (0, 1].
    """

    width: float = 1.0
    depth: float = 1.0

    def blocks(self, layers: int) -> tuple[int, ...]:
        """The blocks that stay, spread evenly, the last one among them; at least one.

        Hou et al., "DynaBERT", 2020, https://arxiv.org/abs/2004.04037, drops the others.

        Args:
            layers: Blocks of the whole model.
        """
        count = max(1, round(layers * self.depth))
        return tuple((k + 1) * layers // count - 1 for k in range(count))


class Outputs:
    """What one model says about one batch; reading a signal that was not requested is an error.

    Args:
        logits: ``[B, C]`` or None.
        values: What was read of other signals.
        task_loss: The task's own loss on the batch's labels, a scalar, or what gives it when it is
            read.
        lazy_logits: Logits over a vocabulary that are computed lazily, in place of `logits`.
        target: What is known of a teacher's distribution over a vocabulary, where that is not all.
    """

    __slots__ = ("_lazy_logits", "_logits", "_target", "_task_loss", "_values")

    def __init__(
        self,
        *,
        logits: Tensor | None = None,
        values: Mapping[Signal, Any] | None = None,
        task_loss: Tensor | Callable[[], Tensor] | None = None,
        lazy_logits: LazyLogits | None = None,
        target: TeacherTarget | None = None,
    ) -> None:
        self._logits = logits
        self._values = dict(values or {})
        self._task_loss = task_loss
        self._lazy_logits = lazy_logits
        self._target = target

    @property
    def logits(self) -> Tensor:
        """Class logits, ``[B, C]``; ``[M, vocabulary]`` for token labels, all of them at once.

        Raises:
            LookupError: They were not declared in the method's output spec.
        """
        if self._logits is None and self._lazy_logits is not None:
            self._logits = self._lazy_logits.chunk()
        if self._logits is None:
            raise LookupError("logits were not declared in the method's output spec")
        return self._logits

    @property
    def lazy_logits(self) -> LazyLogits:
        """Logits over the vocabulary for the M tokens with a label, computed lazily.

        Raises:
            LookupError: There are none: the rows have labels of their own.
        """
        if self._lazy_logits is None:
            raise LookupError("only models that generate text have lazy logits")
        return self._lazy_logits

    @property
    def has_lazy_logits(self) -> bool:
        """Whether `lazy_logits` can be read."""
        return self._lazy_logits is not None

    def chunks(self) -> Iterator[tuple[Tensor, slice]]:
        """Logits over the vocabulary in chunks of tokens, ``[m, V]``, each with its slice."""
        if self._lazy_logits is None:
            yield self.logits, slice(None)
            return
        yield from self._lazy_logits.by_chunk()

    @property
    def target(self) -> TeacherTarget:
        """What is known of the teacher's distributions over a vocabulary, for M tokens."""
        if self._target is not None:
            return self._target
        return FullTeacherTarget(
            self._lazy_logits if self._lazy_logits is not None else self.logits
        )

    @property
    def task_loss(self) -> Tensor:
        """The task's own loss on the labels, a scalar.

        Raises:
            LookupError: These are no outputs of the student.
        """
        if self._task_loss is None:
            raise LookupError("this side has no task loss (teachers have none)")
        if not isinstance(self._task_loss, Tensor):
            self._task_loss = self._task_loss()
        return self._task_loss

    def read(self, signal: Signal) -> Any:
        """What was read of a signal, as its file says.

        Raises:
            LookupError: It was not declared in the method's output spec.
        """
        if signal not in self._values:
            raise LookupError(f"{signal.name} was not declared in the method's output spec")
        return self._values[signal]

    def hidden(self, layer: int) -> Tensor:
        """Hidden state of one layer (0 = embedding output), ``[B, L, D]``."""
        states: Tensor = self.read(HiddenState(layer))
        return states

    def stacked(self, layers: tuple[int, ...]) -> Tensor:
        """Hidden states of several layers, ``[B, Y, L, D]``, in the order given."""
        return torch.stack([self.hidden(k) for k in layers], dim=1)

    def attention(self, block: int) -> Tensor:
        """Attention probabilities of one block (from 0), ``[B, H, L, L]``."""
        maps: Tensor = self.read(AttentionMap(block))
        return maps

    def transformed(self, transform: FeatureTransform, mask: Mask) -> Any:
        """A function of the hidden states: as it was recorded, or computed from them now.

        Args:
            transform: The function.
            mask: 1 = token, ``[B, L]``, or `Batch.tokens`.
        """
        recorded = Transformed(transform)
        if recorded in self._values:
            return self._values[recorded]
        with torch.no_grad():
            return transform.of([self.hidden(k) for k in transform.layers], mask)

    def scored(self, task_loss: Tensor | Callable[[], Tensor]) -> Outputs:
        """The same outputs with the task's own loss filled in."""
        return Outputs(
            logits=self._logits,
            values=self._values,
            task_loss=task_loss,
            lazy_logits=self._lazy_logits,
            target=self._target,
        )

    def within(self, vocabulary: int) -> Outputs:
        """The same outputs with scores of the first token ids only.

        Args:
            vocabulary: How many; rows of a matrix beyond them mean nothing.
        """
        logits, lazy_logits = self._logits, self._lazy_logits
        return Outputs(
            logits=None if logits is None else logits[..., :vocabulary],
            values=self._values,
            task_loss=self._task_loss,
            lazy_logits=None if lazy_logits is None else lazy_logits.first(vocabulary),
            target=self._target,
        )

    def with_values(self, values: Mapping[Signal, Any]) -> Outputs:
        """The same distributions with what was recorded of other signals next to them."""
        return Outputs(
            logits=self._logits, values=values, lazy_logits=self._lazy_logits, target=self._target
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomInitConfig:
    """How a model with random weights is configured.

    Attributes:
        family: Name of the family, e.g. ``bert``.
        layers: Number of blocks.
        hidden: Width.
        heads: Attention heads per block; must divide `hidden`.
        intermediate: Width of the feed-forward layer, 4 x `hidden` when None.
        vocabulary: Maximum vocabulary size of the tokenizer that is trained for it.
        max_positions: Maximum sequence length.
        dropout: Dropout of hidden states and attention probabilities.
    """

    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int | None = None
    vocabulary: int = 8192
    max_positions: int = 512
    dropout: float = 0.1
