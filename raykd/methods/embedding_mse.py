"""The teacher's vectors of texts themselves: the squared difference."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raykd.losses.embeddings import squared_distance
from raykd.methods._embeddings import EmbeddingMethod, EmbeddingParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(EmbeddingParams):
    """Those of all methods on vectors."""


class EmbeddingMSE(EmbeddingMethod[Params]):
    """The task loss and squared difference from the teacher's vectors of texts."""

    title = "squared difference from the teacher's vectors of texts"
    reference = "https://arxiv.org/abs/2004.09813"

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See `squared_distance`."""
        return squared_distance(student, teacher)


METHOD = EmbeddingMSE
