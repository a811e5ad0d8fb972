"""The last hidden state of every token: scores are formed from it when they are read.

Exact up to rounding, for any divergence at any temperature; costs a product with the teacher's
output matrix per token, and 2 bytes per unit of its width, or 4 with ``teacher.dtype: fp32``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.losses.targets import Divergence
from raykd.losses.vocabulary import LazyLogits
from raykd.models.base import ModelDims, Outputs
from raykd.teachers.vocab_cache.base import OutputLayer, VocabCache


@dataclass(frozen=True, slots=True)
class HiddenCache(VocabCache):
    """States, with the output layer."""

    arrays = ("states",)
    states = ("states",)
    needs_matrix = True

    @property
    def name(self) -> str:
        """``hidden``."""
        return "hidden"

    def token_bytes(self, teacher: ModelDims, *, wide: bool = False) -> int:
        """Two per unit, or four."""
        return (4 if wide else 2) * teacher.hidden

    def refusal(self, of: Divergence) -> str:
        """It serves all of them."""
        return ""

    def keep(
        self, scores: LazyLogits, random: torch.Generator
    ) -> tuple[Mapping[str, Tensor], float]:
        """The states as they are; all of the mass."""
        return {"states": scores.states}, float(len(scores))

    def outputs(self, kept: Mapping[str, Tensor], layer: OutputLayer) -> Outputs:
        """Logits that are computed lazily."""
        assert layer.weight is not None
        states = kept["states"].float()
        scores = LazyLogits(states, layer.weight, layer.bias, transform=layer.transform)
        return Outputs(lazy_logits=scores.first(layer.vocabulary or scores.vocabulary))
