"""Contrast: the student's vector of a text is nearer to the teacher's than to those of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from raykd.data.base import Batch
from raykd.losses.embeddings import info_nce
from raykd.losses.terms import Count, Items, Mean, Term
from raykd.methods._embeddings import EmbeddingMethod, EmbeddingParams
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(EmbeddingParams):
    """Those of all methods on vectors, and how sharp the contrast is."""

    temperature: float = param(
        0.05, low=0.0, open=True, symbol="T", help="Cosines are divided by it."
    )


class EmbeddingInfoNCE(EmbeddingMethod[Params]):
    """The task loss and telling texts of a batch apart by the teacher's vectors.

    The texts of all ranks are told apart together; those of each micro batch separately.
    """

    title = "telling texts of a batch apart by the teacher's vectors"
    reference = "https://arxiv.org/abs/1807.03748"
    authors = "van den Oord et al. 2018"
    batch_wide = "texts are told apart from those of their micro batch alone"

    def unused(self) -> Mapping[str, str]:
        """A temperature of a term of weight 0."""
        of_contrast = {} if self.params.alpha else {"temperature": "alpha is 0"}
        return {**super().unused(), **of_contrast}

    def counts(self, batch: Batch) -> Mapping[str, Count | Items]:
        """The rows of all ranks."""
        return {"distil": Items(self.ranks.share)} if self.params.alpha else {}

    def distil(self, student: Tensor, teacher: Tensor) -> Term:
        """See `info_nce`; over the texts of all ranks."""
        everyone = self.ranks.all_gather(student), self.ranks.all_gather(teacher)
        distance = info_nce(*everyone, self.params.temperature).mean()
        return Mean(distance, self.ranks.share, of_batch=False)


METHOD = EmbeddingInfoNCE
