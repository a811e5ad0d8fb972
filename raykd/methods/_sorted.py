"""What methods on sorted probabilities have in common; they cross tokenizers.

Axes: P pair of tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from raykd.data.base import Batch
from raykd.data.task_kinds import TEXT_KINDS
from raykd.losses.sorted_distance import sorted_distance
from raykd.losses.terms import Count, Items
from raykd.losses.vocabulary import summed
from raykd.methods._logit_views import at_tokens
from raykd.methods.base import LossTerms, Mean, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.models.signals.token_pairs import TokenPairs
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class SortedParams:
    """Coefficients of distillation on sorted probabilities."""

    weight: float = param(
        1.5, low=0.0, symbol="lambda", help="Weight of the distance; the task loss has 1."
    )


class SortedProbabilities(Method[SortedParams]):
    """The likelihood of the labels and the distance of sorted probabilities.

    Attributes:
        way: How tokens are paired, a name of `raykd.data.token_pairs.WAYS`.
    """

    way: ClassVar[str]
    kinds = TEXT_KINDS

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's distributions; which of them, where it splits text differently."""
        if self.params.weight == 0:
            return OutputSpec()
        return OutputSpec(Logits(), None if self.context.same_tokens else TokenPairs(self.way))

    def counts(self, batch: Batch) -> Mapping[str, Count | Items]:
        """Pairs of tokens."""
        if self.params.weight == 0:
            return {}
        if self.context.same_tokens:
            return {"distil": len(batch.labelled)}
        return {"distil": TokenPairs(self.way).count(batch)}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """Both terms; that of weight 0 is left out."""
        if self.params.weight == 0:
            return LossTerms(task=student.task_loss)
        scores = student.lazy_logits
        others = torch.arange(len(scores), device=batch.labels.device)
        if not self.context.same_tokens:
            own, others = TokenPairs(self.way).of(batch)
            scores = scores.picked(own)
        count = max(len(scores), 1)

        def distance(chunk: Tensor, at: slice) -> Tensor:
            with torch.no_grad():
                teacher_scores = at_tokens(teacher, others[at])
            return sorted_distance(chunk, teacher_scores).sum()[None] / count

        distil = Mean(self.params.weight * summed(scores, distance)[0], len(scores))
        return LossTerms(task=student.task_loss, distil=distil)
