"""A method that refuses a pair."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.methods.base import LossTerms, Method, OutputSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """No parameters."""


class Picky(Method[Params]):
    """Serves narrow students only."""

    title = "picky"
    reference = ""
    requires = OutputSpec()

    def refusal(self):
        wide = self.context.student.hidden > self.context.teacher.hidden
        return super().refusal() or ("refuses a student wider than the teacher" if wide else "")

    def loss(self, batch, student, teacher):
        return LossTerms(task=student.task_loss)


METHOD = Picky
