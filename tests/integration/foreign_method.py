"""A method outside the package: mean squared error on logits."""

from dataclasses import dataclass

from raykd import LossTerms, Method, OutputSpec, param
from raykd.models.signals.logits import Logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Its one coefficient."""

    pull: float = param(1.0, low=0.0, help="Weight of the distance to the teacher.")


class LogitMSE(Method[Params]):
    """Task loss plus distance of logits."""

    title = "distance of logits"
    reference = "https://example.org"
    requires = OutputSpec(Logits())

    def loss(self, batch, student, teacher):
        distance = (student.logits.float() - teacher.logits).square().mean()
        return LossTerms(task=student.task_loss, pull=self.params.pull * distance)


METHOD = LogitMSE
