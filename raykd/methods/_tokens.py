"""What methods on the tokens of generated text have in common.

Axes: M token with a label, V vocabulary.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from raykd.data.base import Batch
from raykd.data.task_kinds import TEXT_KINDS
from raykd.losses.closed_forms import nll
from raykd.losses.targets import Divergence, TeacherTarget
from raykd.losses.vocabulary import LazyLogits, summed
from raykd.methods.base import LossTerms, Mean, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.params import describe

BETA_HELP = "Weight of the teacher in the mixture; 0 is the forward and 1 the reverse divergence."
"""What the parameter of the Jensen-Shannon divergence does, in the methods that have it."""


class HasRatio(Protocol):
    """Parameters with a share of distillation."""

    @property
    def kd_ratio(self) -> float:
        """Weight of distillation; the likelihood of the labels gets the rest."""
        ...


P = TypeVar("P", bound=HasRatio)


class TokenMethod(Method[P]):
    """The likelihood of the labels and a divergence from the teacher, both means over tokens."""

    requires = OutputSpec(Logits())
    kinds = TEXT_KINDS

    @abstractmethod
    def divergence(self) -> Divergence:
        """Which divergence."""

    def divergences(self) -> tuple[Divergence, ...]:
        """That one, unless its weight is 0."""
        return (self.divergence(),) if self.params.kd_ratio > 0 else ()

    def unused(self) -> Mapping[str, str]:
        """Everything about the divergence, where its weight is 0."""
        if self.params.kd_ratio > 0:
            return {}
        names = (info.name for info in describe(type(self.params)))
        return {name: "kd_ratio is 0" for name in names if name != "kd_ratio"}

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's distributions, unless their weight is 0."""
        return OutputSpec(Logits() if self.params.kd_ratio > 0 else None)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """Both terms, in one pass over the vocabulary."""
        ratio = self.params.kd_ratio
        labels = batch.label_ids
        target = teacher.target if ratio > 0 else None
        return weighted(student.lazy_logits, labels, target, ratio, self.divergence())


def weighted(
    scores: LazyLogits, labels: Tensor, target: TeacherTarget | None, ratio: float, of: Divergence
) -> LossTerms:
    """``(1 - ratio) * likelihood + ratio * divergence``; terms of weight 0 are not computed.

    Both are means over the M tokens, 0 where there are none, and one term, ``loss``: they share the
    pass over the vocabulary. The size of each of them is a metric.

    Args:
        scores: The student's, of M tokens.
        labels: int64 ``[M]``.
        target: The teacher's distributions for the same tokens; None where `ratio` is 0.
        ratio: Weight of the divergence, in [0, 1].
        of: Which divergence. Its value is multiplied by the square of its temperature.
    """
    count = max(len(labels), 1)
    size = of.temperature**2
    target = None if target is None else target.cast(scores.dtype)

    def terms(chunk: Tensor, at: slice) -> Tensor:
        if target is None or ratio == 0:
            return (1 - ratio) / count * nll(chunk, labels[at]).sum()[None]
        if ratio == 1:
            return size / count * target.distance(chunk, at, of).sum()[None]
        soft, hard = target.distance_and_nll(chunk, at, of, labels[at])
        return torch.stack([(1 - ratio) / count * hard.sum(), ratio * size / count * soft.sum()])

    total, apart = summed(scores, terms)
    names = ["task"] * (ratio < 1) + ["distil"] * (ratio > 0)
    metrics = {n: Mean(v, len(labels)) for n, v in zip(names, apart, strict=True)}
    return LossTerms(metrics, loss=Mean(total, len(labels)))
