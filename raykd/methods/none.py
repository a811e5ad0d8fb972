"""No teacher: plain training on the labels, the floor every method is measured from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from raykd.data.base import Batch
from raykd.data.task_kinds import KINDS
from raykd.methods.base import LossTerms, Method, OutputSpec
from raykd.models.base import Outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """There is nothing to set."""


class NoTeacher(Method[Params]):
    """The task's own loss and nothing else."""

    title = "fine-tuning without a teacher"
    requires = OutputSpec()
    kinds: ClassVar[tuple[str, ...]] = KINDS

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The task loss."""
        return LossTerms(task=student.task_loss)


METHOD = NoTeacher
