"""A method outside the package, reached by its dotted name: coefficients of every type."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.data.base import Batch
from raykd.errors import SpecError
from raykd.methods.base import LossTerms, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    alpha: float = param(0.5, low=0.0, high=1.0, help="Weight.")
    scale: float = param(1.0, low=0.0, open=True, help="Scale.")
    window: int | None = param(21, low=1, help="Window; odd.")
    angles: bool = param(False, help="Whether triples are compared.")
    wrangle: float = param(0.0, low=0.0, help="Weight of triples.")
    layers: str = param("all", choices=("all", "last", "none"), help="Which layers.")

    def __post_init__(self) -> None:
        if self.window is not None and self.window % 2 == 0:
            raise SpecError(f"'window' must be odd, got {self.window}")


class Sample(Method[Params]):
    """Reads what its parameters ask for."""

    title = "Sample"
    reference = ""
    requires = OutputSpec(Logits(), *hidden_states("all"), *attention_maps("all"))

    def teacher_outputs(self) -> OutputSpec:
        last = self.context.teacher.layers
        layers = {"all": tuple(range(last + 1)), "last": (last,), "none": ()}[self.params.layers]
        attentions = (0,) if self.params.wrangle > 0 else ()
        return OutputSpec(Logits(), *hidden_states(layers), *attention_maps(attentions))

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        return LossTerms(task=student.task_loss)


METHOD = Sample
