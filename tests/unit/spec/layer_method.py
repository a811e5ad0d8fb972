"""A method whose outputs change at the low end of a weight, and with a layer number."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.data.base import Batch
from raykd.methods.base import LossTerms, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    given: float = param(1.0, low=0.0, high=1.0, help="Weight of labels; the teacher gets 1 - it.")
    layer: int = param(0, low=0, help="Layer that is compared; 0 = none.")
    pull: float = param(1.0, low=0.0, help="Weight of that.")
    deep: bool = param(False, help="Whether all layers up to it are read.")
    first: int = param(0, low=0, help="First layer that may be read.")


class ByLayer(Method[Params]):
    """Reads what its parameters ask for."""

    title = "layers"
    reference = ""
    requires = OutputSpec(Logits(), *hidden_states("all"))

    def refusal(self) -> str:
        p = self.params
        early = 0 < p.layer < p.first
        return f"cannot read layer {p.layer} before {p.first}" if early else super().refusal()

    def teacher_outputs(self) -> OutputSpec:
        p = self.params
        layers = (p.layer,) if p.layer and p.pull > 0 else ()
        if p.deep:
            layers = tuple(range(p.layer + 1))
        return OutputSpec(Logits() if p.given < 1 else None, *hidden_states(layers))

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        return LossTerms(task=student.task_loss)


METHOD = ByLayer
