"""The interface of vocabulary caches: what is recorded of distributions over a vocabulary.

Axes: M token with a label, V vocabulary, D hidden width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import Array
from raykd.losses.targets import Divergence
from raykd.losses.vocabulary import UNCHANGED, LazyLogits, LogitTransform
from raykd.models.base import ModelDims, Outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputLayer:
    """What makes scores of a vocabulary from the last hidden states.

    Attributes:
        vocabulary: Token ids that students compare; None = all there are.
        weight: Its matrix, ``[V, D]``; None where nothing that is kept needs it.
        bias: ``[V]``, or None.
        transform: What the model does to them after that.
    """

    vocabulary: int | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    transform: LogitTransform = UNCHANGED


class VocabCache(ABC):
    """A compact form of the teacher's scores; subclasses are frozen dataclasses of plain values.

    Attributes:
        arrays: Names of the arrays that are kept, one value or vector per token each.
        states: Those among them that are hidden states, and kept in the precision of these.
        needs_matrix: Whether reading needs the teacher's output layer, which is kept once.
    """

    arrays: tuple[str, ...]
    states: tuple[str, ...] = ()
    needs_matrix: bool = False

    @property
    @abstractmethod
    def name(self) -> str:
        """What search spaces call it, with its size where it has one."""

    @abstractmethod
    def token_bytes(self, teacher: ModelDims, *, wide: bool = False) -> int:
        """Bytes per token.

        Args:
            teacher: Its sizes.
            wide: Whether hidden states take four bytes a number instead of two.
        """

    @abstractmethod
    def refusal(self, of: Divergence) -> str:
        """Why a divergence cannot be computed from it without bias, or empty."""

    @abstractmethod
    def keep(
        self, scores: LazyLogits, random: torch.Generator
    ) -> tuple[Mapping[str, Tensor], float]:
        """What is kept of some tokens, and the probability mass that it stands for, added up.

        Args:
            scores: The teacher's.
            random: For draws; on the device of the scores.
        """

    @abstractmethod
    def outputs(self, kept: Mapping[str, Tensor], layer: OutputLayer) -> Outputs:
        """What a method reads of some tokens.

        Args:
            kept: As it was kept, in the order of the tokens, on the device of the batch.
            layer: The teacher's output layer.
        """


def as_ids(ids: Tensor, vocabulary: int) -> Array:
    """Token ids of any shape in as few bytes as they need."""
    array: Array = ids.cpu().numpy().astype(np.uint16 if vocabulary <= 1 << 16 else np.int32)
    return array
