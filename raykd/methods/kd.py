"""Knowledge distillation on logits: soft targets of the teacher plus the labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from raykd.data.base import Batch
from raykd.data.task_kinds import KINDS
from raykd.losses.logits import binary_kl, scaled_mse, soft_kl
from raykd.losses.targets import Divergence
from raykd.methods._soft_targets import task_and_distil, unused_temperature
from raykd.methods._tokens import weighted
from raykd.methods.base import LossTerms, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of plain distillation."""

    alpha: float = param(
        0.5, low=0.0, high=1.0, help="Weight of distillation; the task loss gets 1 - alpha."
    )
    temperature: float | None = param(
        None,
        low=0.0,
        open=True,
        symbol="T",
        help="Softens both distributions; without effect in regression. "
        "null = 2, and 1 on tokens of generated text.",
    )
    kd_ratio: float | None = param(
        None,
        low=0.0,
        high=1.0,
        help="What alpha is called where text is generated; null = alpha.",
    )


class VanillaKD(Method[Params]):
    """Soft targets on logits plus the task loss; the squared difference of scores in regression."""

    title = "soft targets on logits"
    reference = "https://arxiv.org/abs/1503.02531"
    authors = "Hinton et al. 2015"
    requires = OutputSpec(Logits())
    kinds = KINDS

    @property
    def alpha(self) -> float:
        """Weight of distillation."""
        return self.params.alpha if self.params.kd_ratio is None else self.params.kd_ratio

    @property
    def temperature(self) -> float:
        """What softens both distributions."""
        if self.params.temperature is not None:
            return self.params.temperature
        return 1.0 if self.context.task_kind.generates else 2.0

    def unused(self) -> Mapping[str, str]:
        """The other name of `alpha` goes first."""
        ratio = self.params.kd_ratio
        replaced = {} if ratio is None else {"alpha": "kd_ratio is given, which takes its place"}
        weight = "alpha" if ratio is None else "kd_ratio"
        return {**replaced, **unused_temperature(self.alpha, self.context.task_kind, weight)}

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's logits, unless their weight is 0."""
        return OutputSpec(Logits() if self.alpha > 0 else None)

    def divergences(self) -> tuple[Divergence, ...]:
        """The forward one, where text is generated."""
        if not self.context.task_kind.generates or self.alpha == 0:
            return ()
        return (Divergence(kind="forward_kl", temperature=self.temperature),)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The task loss and the distance to the teacher; terms of weight 0 are left out."""
        alpha = self.alpha
        if self.context.task_kind.generates:
            labels = batch.label_ids
            of = Divergence(kind="forward_kl", temperature=self.temperature)
            target = teacher.target if alpha > 0 else None
            return weighted(student.lazy_logits, labels, target, alpha, of)
        terms = task_and_distil(alpha, student, teacher, self._distance)
        return LossTerms(**terms)

    def _distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        if self.context.task_kind.is_binary:
            return binary_kl(student, teacher, temperature=self.temperature)
        if not self.context.task_kind.is_categorical:
            # T^2 times the difference of scores divided by T, as for classes: T cancels.
            return scaled_mse(student, teacher)
        return soft_kl(student, teacher, temperature=self.temperature)


METHOD = VanillaKD
