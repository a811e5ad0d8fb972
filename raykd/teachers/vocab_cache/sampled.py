"""Token ids drawn from the teacher: the gradient of the forward divergence is met in the mean.

A few bytes per sample, whatever the sharpness of the teacher. The draws are made once, so they are
the same in every epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.losses.targets import Divergence, SampledTeacherTarget
from raykd.losses.vocabulary import LazyLogits
from raykd.models.base import ModelDims, Outputs
from raykd.teachers.vocab_cache.base import OutputLayer, VocabCache


@dataclass(frozen=True, slots=True)
class SampledCache(VocabCache):
    """Draws with replacement.

    Attributes:
        count: Draws per token.
    """

    count: int = 64

    arrays = ("ids",)

    @property
    def name(self) -> str:
        """``sampled:COUNT``."""
        return f"sampled:{self.count}"

    def token_bytes(self, teacher: ModelDims, *, wide: bool = False) -> int:
        """Two per draw, four for vocabularies above 65,536."""
        return self.count * (2 if teacher.vocabulary <= 1 << 16 else 4)

    def refusal(self, of: Divergence) -> str:
        """Draws are from the distribution at temperature 1, and say nothing of its values."""
        if of.kind != "forward_kl":
            return f"{of.kind} needs the teacher's probabilities, and draws do not give them"
        if of.temperature != 1.0:
            return f"draws are made at temperature 1, not {of.temperature:g}"
        return ""

    def keep(
        self, scores: LazyLogits, random: torch.Generator
    ) -> tuple[Mapping[str, Tensor], float]:
        """Draws for every token; they stand for all of the mass."""
        if not len(scores):
            return {"ids": torch.zeros(0, self.count, dtype=torch.long)}, 0.0
        drawn = [
            torch.multinomial(
                chunk.float().softmax(dim=-1), self.count, replacement=True, generator=random
            )
            for chunk, _ in scores.by_chunk()
        ]  # fmt: skip
        return {"ids": torch.cat(drawn)}, float(len(scores))

    def outputs(self, kept: Mapping[str, Tensor], layer: OutputLayer) -> Outputs:
        """What the forward divergence is estimated from."""
        return Outputs(target=SampledTeacherTarget(kept["ids"], layer.vocabulary))
