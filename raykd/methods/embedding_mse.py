"""The teacher's vectors of texts themselves: the squared difference."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raykd.losses.embeddings import squared_distance
from raykd.losses.terms import Term, mean_of
from raykd.methods._embeddings import EmbeddingMethod, EmbeddingParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(EmbeddingParams):
    """Those of all methods on vectors."""


class EmbeddingMSE(EmbeddingMethod[Params]):
    """The task loss and squared difference from the teacher's vectors of texts."""

    title = "squared difference from the teacher's vectors of texts"
    reference = "https://arxiv.org/abs/2004.09813"
    authors = "Reimers and Gurevych 2020"

    def distil(self, student: Tensor, teacher: Tensor) -> Term:
        """See `squared_distance`."""
        return mean_of(squared_distance(student, teacher))


METHOD = EmbeddingMSE
