"""The direction of the teacher's vectors of texts: one minus the cosine."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raykd.losses.embeddings import cosine_distance
from raykd.losses.terms import Term, mean_of
from raykd.methods._embeddings import EmbeddingMethod, EmbeddingParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(EmbeddingParams):
    """Those of all methods on vectors."""


class EmbeddingCosine(EmbeddingMethod[Params]):
    """The task loss and cosine to the teacher's vectors of texts."""

    title = "cosine to the teacher's vectors of texts"
    reference = "https://arxiv.org/abs/2004.09813"
    authors = "Reimers and Gurevych 2020"

    def distil(self, student: Tensor, teacher: Tensor) -> Term:
        """See `cosine_distance`."""
        return mean_of(cosine_distance(student, teacher))


METHOD = EmbeddingCosine
