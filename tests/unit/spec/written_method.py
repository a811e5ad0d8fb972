"""A method that compares distributions over text that the teacher wrote."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.data.base import TEXT_KINDS, Batch
from raykd.methods.base import LossTerms, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.generations import Generations
from raykd.models.signals.logits import Logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """No parameters."""


class Written(Method[Params]):
    """The task loss."""

    title = "distributions over text of the teacher"
    reference = "https://example.org"
    requires = OutputSpec(Logits(), Generations())
    kinds = TEXT_KINDS

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The task loss."""
        return LossTerms(task=student.task_loss)


METHOD = Written
