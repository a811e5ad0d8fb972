"""Patient KD: unit-length hidden states of matched layers, besides soft targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from raykd.data.base import Batch
from raykd.data.task_kinds import ENCODER_KINDS
from raykd.losses.features import pkd_all, pkd_cls
from raykd.losses.layers import HIDDEN_STRATEGIES, match_layers
from raykd.losses.logits import scaled_mse, soft_kl
from raykd.losses.terms import Count
from raykd.methods._soft_targets import task_and_distil, unused_temperature
from raykd.methods.base import DistillationContext, LossTerms, Mean, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of patient distillation."""

    alpha: float = param(
        0.5, low=0.0, high=1.0, help="Weight of soft targets; the task loss gets 1 - alpha."
    )
    temperature: float = param(
        10.0, low=0.0, open=True, symbol="T", help="Softens the soft targets."
    )
    beta: float = param(10.0, low=0.0, help="Weight of the distance of hidden states.")
    positions: str = param(
        "cls", choices=("cls", "all"), help="Compare the first token, or every token."
    )
    layers: str = param("skip", choices=HIDDEN_STRATEGIES, help="Which layers are matched.")


class PatientKD(Method[Params]):
    """The task loss, soft targets, and the squared distance of normalised hidden states."""

    title = "normalised hidden states of matched layers"
    reference = "https://arxiv.org/abs/1908.09355"
    authors = "Sun et al. 2019"
    requires = OutputSpec(Logits(), *hidden_states("all"))
    kinds = ENCODER_KINDS

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self._pairs = match_layers(params.layers, context.teacher.layers, context.student.layers)

    def refusal(self) -> str:
        """Hidden states of different widths have no distance."""
        student_width, teacher_width = self.context.student.hidden, self.context.teacher.hidden
        if self.params.beta and student_width != teacher_width:
            return (
                f"compares hidden states of equal width, but '{self.context.student_name}' is "
                f"{student_width:,} wide and '{self.context.teacher_name}' {teacher_width:,}\n"
                "choose a student of the teacher's width, or tinybert, which learns a projection"
            )
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """What belongs to a term of weight 0."""
        of_hidden = {} if self.params.beta else dict.fromkeys(("positions", "layers"), "beta is 0")
        return {**of_hidden, **unused_temperature(self.params.alpha, self.context.task_kind)}

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's logits and matched layers, as far as a weight needs them."""
        layers = self._pairs.teacher if self.params.beta else ()
        return OutputSpec(Logits() if self.params.alpha > 0 else None, *hidden_states(layers))

    def student_outputs(self) -> OutputSpec:
        """Logits and matched layers."""
        return OutputSpec(Logits(), *hidden_states(self._pairs.student if self.params.beta else ()))

    def counts(self, batch: Batch) -> Mapping[str, Count]:
        """Rows, or tokens."""
        lengths = batch.lengths
        tokens = len(lengths) if self.params.positions == "cls" else int(lengths.sum())
        return {"patient": tokens}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms of non-zero weight."""
        p = self.params
        terms = task_and_distil(p.alpha, student, teacher, self._soft)
        if p.beta:
            student_hidden = student.stacked(self._pairs.student)
            teacher_hidden = teacher.stacked(self._pairs.teacher)
            mask = batch.tokens
            distance = (
                pkd_cls(student_hidden, teacher_hidden)
                if p.positions == "cls"
                else pkd_all(student_hidden, teacher_hidden, mask)
            )
            terms["patient"] = p.beta * Mean(distance, self.counts(batch)["patient"])
        return LossTerms(**terms)

    def _soft(self, student: Tensor, teacher: Tensor) -> Tensor:
        if not self.context.task_kind.is_categorical:
            return scaled_mse(student, teacher)
        return soft_kl(student, teacher, temperature=self.params.temperature)


METHOD = PatientKD
