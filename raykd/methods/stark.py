"""StarK: distillation from the teacher without the heads and neurons that do not help a student."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from raykd.data.base import Array, Batch
from raykd.data.kinds.base import TaskKind
from raykd.losses.teacher_grad import teacher_grad_cross_entropy, teacher_grad_mse
from raykd.methods._soft_targets import unused_temperature
from raykd.methods.base import (
    AnalysisContext,
    LossTerms,
    Method,
    OutputSpec,
    TeacherAnalysis,
    TeacherVariant,
)
from raykd.models.base import Outputs
from raykd.models.inference import no_gradient
from raykd.models.signals.logits import Logits
from raykd.models.structured_pruning import keep_units
from raykd.models.unit_masks import sensitivity
from raykd.models.unit_selection import KeptUnits, UnitScores, choose, refusal
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """What is kept of the teacher, and how a student learns from it.

    What begins with ``score_`` or ``trial_`` decides how heads and neurons are scored, once per
    task; a search over it repeats the scoring for every value.
    """

    sparsity: int = param(
        50,
        low=0,
        high=90,
        help="Percent of the teacher's heads and neurons that are removed; 0 = the teacher as it "
        "is.",
    )
    lam: float = param(
        0.5,
        low=0.0,
        high=1.0,
        symbol="lambda",
        help="What decides which: 1 = what the teacher itself needs, 0 = what the student can "
        "follow.",
    )
    temperature: float = param(
        2.0,
        low=0.0,
        open=True,
        symbol="T",
        help="Softens both distributions; without effect in regression.",
    )
    soft_weight: float = param(
        0.5, low=0.0, high=1.0, help="Weight of distillation; the task loss gets 1 - soft_weight."
    )
    score_split: str = param(
        "validation",
        choices=("validation", "train"),
        help="Rows that heads and neurons are scored on; the authors took the validation rows.",
    )
    score_rows: int | None = param(
        2000, low=1, help="Rows sampled for scoring with score_split train; null = all."
    )
    score_batch_size: int = param(
        32, low=1, help="Rows per batch of the scoring; scores depend on it."
    )
    score_temperature: float = param(
        2.0, low=0.0, open=True, help="Temperature of the scoring and of the trial distillation."
    )
    trial_epochs: int = param(
        10, low=1, help="Passes of the trial distillation, whose student the teacher is fitted to."
    )
    trial_lr: float = param(
        3e-5, low=0.0, open=True, help="Peak learning rate of the trial distillation."
    )


_SCORING = (
    "score_split",
    "score_rows",
    "score_batch_size",
    "score_temperature",
    "trial_epochs",
    "trial_lr",
)
"""Parameters that decide how heads and neurons are scored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scoring(TeacherAnalysis):
    """Scores every head and neuron of the teacher: what it needs, and what a student can follow.

    The student is one that was distilled on trial from the whole teacher, taken after its last
    epoch. Its weights are not used otherwise: trials begin with the initial student.

    Attributes:
        split: ``validation`` or ``train``.
        rows: Rows sampled of it, None = all.
        batch_size: Rows per batch.
        temperature: Of the scoring and of the trial distillation.
        epochs: Of the trial distillation.
        lr: Of the trial distillation.
    """

    split: str
    rows: int | None
    batch_size: int
    temperature: float
    epochs: int
    lr: float

    def analyse(self, context: AnalysisContext) -> Mapping[str, Array]:
        """Sums of absolute gradients, not normalised, and independent of `lam` and `sparsity`.

        Returns:
            ``<score>_heads``, float32 ``[blocks, heads]``, and ``<score>_neurons``, float32
            ``[blocks, neurons]``, for the scores ``expressiveness`` and ``friendliness``.
        """
        teacher = context.teacher()
        train = {"epochs": self.epochs, "lr": self.lr}
        student = context.distil(train, self.temperature, 0)

        def losses(batch: Batch) -> Mapping[str, Tensor]:
            with no_gradient(student):
                student_logits = context.run(student, batch).logits
            teacher_outputs = context.run(teacher, batch)
            distance = _distance(
                student_logits,
                teacher_outputs.logits,
                self.temperature,
                context.distillation.task_kind,
            )
            # Half of it, as in the authors' loss; the half on the labels has no gradient here.
            return {
                "expressiveness": teacher_outputs.task_loss,
                "friendliness": distance.mean() / 2,
            }

        batches = context.batches(self.split, self.batch_size, self.rows)
        scores_by_name = {}
        for name, scores in sensitivity(teacher, batches, losses).items():
            scores_by_name[f"{name}_heads"] = scores.heads
            scores_by_name[f"{name}_neurons"] = scores.neurons
        return scores_by_name


class SparseTeacher(Method[Params]):
    """Soft targets of a teacher without some of its heads and neurons, plus the labels.

    The paper finds the sparsity by distilling at 0, 10, ..., 90 percent and keeping the best; here
    it is a parameter like any other, and every trial begins with the initial student (the authors'
    "rewinding").
    """

    title = "soft targets of a sparse teacher"
    reference = "https://arxiv.org/abs/2210.03923"
    authors = "Yang et al. 2022"
    requires = OutputSpec(Logits())

    def refusal(self) -> str:
        """Besides what any method refuses: teachers whose heads and neurons cannot be removed."""
        if (reason := super().refusal()) or not self._derives():
            return reason
        if wrong := refusal(self.context.teacher):
            what = "removes heads and neurons, but teacher"
            return f"{what} '{self.context.teacher_name}' {wrong}"
        return ""

    def unused(self) -> Mapping[str, str]:
        """What belongs to soft targets of weight 0, or to a scoring that does not happen."""
        p, kind = self.params, self.context.task_kind
        reasons = dict(unused_temperature(p.soft_weight, kind, "soft_weight"))
        if not self._derives():
            why = "sparsity is 0" if p.soft_weight else "soft_weight is 0"
            reasons |= dict.fromkeys(("lam", *_SCORING), why)
            reasons |= {} if p.soft_weight else {"sparsity": why}
        elif p.score_split != "train":
            reasons["score_rows"] = "all rows of the validation split are scored"
        if not kind.is_categorical:
            reasons["score_temperature"] = f"{kind.name} compares scores as they are"
        return reasons

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's logits, unless their weight is 0."""
        return OutputSpec(Logits() if self.params.soft_weight > 0 else None)

    def teacher_analysis(self) -> TeacherAnalysis | None:
        """The scoring, unless no trial with these parameters reads a sparse teacher."""
        if not self._derives():
            return None
        p = self.params
        return Scoring(
            split=p.score_split,
            rows=p.score_rows if p.score_split == "train" else None,
            batch_size=p.score_batch_size,
            temperature=p.score_temperature,
            epochs=p.trial_epochs,
            lr=p.trial_lr,
        )

    def teacher_variant(self, analysis_result: Mapping[str, Array]) -> TeacherVariant | None:
        """The sparse teacher; parameters that keep the same heads and neurons share one."""
        if not self._derives():
            return None
        kept = self.kept(analysis_result)
        return TeacherVariant(
            key=kept.key(),
            about=kept.about(),
            make=functools.partial(_sparse, kept=kept),
            by=("lam", "sparsity"),
        )

    def kept(self, analysis_result: Mapping[str, Array]) -> KeptUnits:
        """What is kept of the teacher with these parameters.

        Args:
            analysis_result: What `Scoring` returned.
        """
        needed, followed = (
            UnitScores(
                heads=analysis_result[f"{name}_heads"], neurons=analysis_result[f"{name}_neurons"]
            )
            for name in ("expressiveness", "friendliness")
        )
        scores = needed.normalised().mixed(followed.normalised(), self.params.lam)
        sizes = self.context.teacher
        return choose(scores, self.params.sparsity, sizes.hidden // sizes.heads)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The task loss and the distance to the teacher; terms of weight 0 are left out."""
        p = self.params
        terms: dict[str, Tensor] = {}
        if p.soft_weight < 1:
            terms["task"] = (1 - p.soft_weight) * student.task_loss
        if p.soft_weight > 0:
            distance = _distance(
                student.logits, teacher.logits.detach(), p.temperature, self.context.task_kind
            )
            terms["distil"] = p.soft_weight * distance.mean()
        return LossTerms(**terms)

    def _derives(self) -> bool:
        return self.params.sparsity > 0 and self.params.soft_weight > 0


def _distance(student: Tensor, teacher: Tensor, temperature: float, kind: TaskKind) -> Tensor:
    if kind.is_categorical:
        return teacher_grad_cross_entropy(student, teacher, temperature=temperature)
    return teacher_grad_mse(student, teacher)


def _sparse(teacher: Any, *, kept: KeptUnits) -> nn.Module:
    sparse: nn.Module = keep_units(teacher, *kept.indices())
    return sparse


METHOD = SparseTeacher
