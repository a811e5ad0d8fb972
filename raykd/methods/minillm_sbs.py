"""MiniLLM on labels, with rationales as a second task of the student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from raykd.data.base import EXPLAIN, PREDICT, Batch
from raykd.losses.targets import Divergence
from raykd.losses.terms import Count
from raykd.methods import minillm
from raykd.methods.base import Items, LossTerms, OutputSpec, StudentFn, TeacherOutputsFn
from raykd.methods.step_by_step import Half
from raykd.models.signals.logits import Logits
from raykd.models.signals.rationales import Rationales
from raykd.models.signals.running_model import RunningModel
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(minillm.Params):
    """Coefficients of MiniLLM, and the weight of labels against rationales."""

    alpha: float = param(
        0.5, low=0.0, high=1.0, help="Weight of sampled labels; rationales get 1 - alpha."
    )


class MiniLLMStepByStep(minillm.MiniLLM):
    """The policy gradient on prompts for labels, and the likelihood of rationales.

    ``alpha * responses + (1 - alpha) * rationales + lm_coef * text``
    """

    title = "policy gradient on labels, and rationales as a second task"
    requires = OutputSpec(Logits(), RunningModel(), Rationales())
    view = PREDICT

    def views(self) -> tuple[str, ...]:
        """Rationales."""
        return (EXPLAIN,)

    def counts(self, batch: Batch) -> Mapping[str, Count | Items]:
        """Those of MiniLLM, and tokens of rationales."""
        rationales = len(batch.views[EXPLAIN].labelled)
        return {**super().counts(batch), "rationale": rationales}

    def step(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> LossTerms:
        """One step of MiniLLM, and one on the rationales of the batch."""
        alpha = cast(Params, self.params).alpha
        distilled = super().step(batch, student, teacher)
        terms = dict(distilled.means)
        terms["responses"] = alpha * terms["responses"]
        if alpha < 1:
            half = Half.rationales(batch.views[EXPLAIN], student, lockstep=self.ranks.lockstep)
            terms["rationale"] = half.loss(1 - alpha, Divergence())
        return LossTerms(distilled.metric_means, **terms)


METHOD = MiniLLMStepByStep
