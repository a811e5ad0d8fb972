"""The most likely tokens and their probabilities; the rest is known as a sum only.

What the rest is made of is not learnt. For a teacher whose most likely tokens hold little of the
mass this is worse than no teacher, so it is never chosen by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.targets import Divergence, TopKTeacherTarget
from raykd.losses.vocabulary import LazyLogits
from raykd.models.base import ModelDims, Outputs
from raykd.teachers.vocab_cache.base import OutputLayer, VocabCache


@dataclass(frozen=True, slots=True)
class TopKCache(VocabCache):
    """Ids and log-probabilities in fp16.

    Attributes:
        count: Tokens that are kept.
    """

    count: int = 64

    arrays = ("ids", "log_probabilities")

    @property
    def name(self) -> str:
        """``top_k:COUNT``."""
        return f"top_k:{self.count}"

    def token_bytes(self, teacher: ModelDims, *, wide: bool = False) -> int:
        """Two per probability and two per id, four for vocabularies above 65,536."""
        return self.count * (4 if teacher.vocabulary <= 1 << 16 else 6)

    def refusal(self, of: Divergence) -> str:
        """The rest has no known shape: only the forward divergence at temperature 1 is bounded."""
        if of.kind != "forward_kl":
            return f"{of.kind} needs every probability, and top-k keeps {self.count}"
        if of.temperature != 1.0:
            return f"at temperature {of.temperature:g} the mass of the rest is not known"
        return ""

    def keep(
        self, scores: LazyLogits, random: torch.Generator
    ) -> tuple[Mapping[str, Tensor], float]:
        """The largest, and the mass they hold."""
        count = min(self.count, scores.vocabulary)
        if not len(scores):
            none = torch.zeros(0, count)
            return {"ids": none.long(), "log_probabilities": none}, 0.0
        top = [
            F.log_softmax(chunk.float(), dim=-1).topk(count, dim=-1)
            for chunk, _ in scores.by_chunk()
        ]
        logs = torch.cat([part.values for part in top])
        ids = torch.cat([part.indices for part in top])
        return {"ids": ids, "log_probabilities": logs}, float(logs.exp().sum())

    def outputs(self, kept: Mapping[str, Tensor], layer: OutputLayer) -> Outputs:
        """What the forward divergence is bounded from."""
        logs = kept["log_probabilities"].float()
        return Outputs(target=TopKTeacherTarget(kept["ids"], logs, layer.vocabulary))
