"""GKD: a divergence on responses that the student samples now, mixed with those of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from raykd.data.base import Batch
from raykd.data.task_kinds import TEXT_KINDS
from raykd.losses.targets import Divergence
from raykd.methods._model_functions import Sampling, StudentFn, TeacherOutputsFn
from raykd.methods._tokens import BETA_HELP, weighted
from raykd.methods.base import LossTerms, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.models.signals.running_model import RunningModel
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of on-policy distillation; the defaults are TRL's, for shorter responses."""

    lmbda: float = param(
        0.5, low=0.0, high=1.0, symbol="lambda", help="Share of steps on the student's own text."
    )
    beta: float = param(0.5, low=0.0, high=1.0, help=BETA_HELP)
    normalised: bool = param(
        False,
        help="Divide by beta (1 - beta), so that beta does not change the size of the gradient.",
    )
    sampling_temperature: float = param(0.9, low=0.0, open=True, help="Of the student's own text.")
    max_new_tokens: int = param(64, low=1, help="Most tokens of the student's own text.")
    kd_ratio: float = param(
        1.0,
        low=0.0,
        high=1.0,
        help="Weight of distillation in steps on the task's responses; the labels get the rest.",
    )


class GKD(Method[Params]):
    """The Jensen-Shannon divergence on sampled or given responses, chosen for every batch."""

    title = "divergence on the student's own text"
    reference = "https://arxiv.org/abs/2306.13649"
    authors = "Agarwal et al. 2023"
    requires = OutputSpec(Logits(), RunningModel())
    kinds = TEXT_KINDS
    _own = False
    """Whether the responses of the present step are the student's own."""

    def unused(self) -> Mapping[str, str]:
        """What belongs to steps that are never taken, and to a divergence of weight 0."""
        p = self.params
        if p.lmbda == 1:
            return {"kd_ratio": "lmbda is 1"}
        if p.lmbda > 0:
            return {}
        reasons = dict.fromkeys(("sampling_temperature", "max_new_tokens"), "lmbda is 0")
        if not p.kd_ratio:
            reasons |= dict.fromkeys(("beta", "normalised"), "lmbda and kd_ratio are 0")
        return reasons

    def teacher_outputs(self) -> OutputSpec:
        """The online teacher, unless nothing is sampled."""
        return OutputSpec(Logits(), RunningModel() if self.params.lmbda > 0 else None)

    def new_tokens(self) -> int:
        """Those of its own text, where some steps are on it."""
        return self.params.max_new_tokens if self.params.lmbda > 0 else 0

    def divergences(self) -> tuple[Divergence, ...]:
        """The only thing that it reads the teacher through."""
        p = self.params
        return (Divergence(kind="jsd", beta=p.beta, normalised=p.normalised),)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """On the task's responses."""
        labels = batch.label_ids
        (of,) = self.divergences()
        ratio = self.params.kd_ratio
        return weighted(
            student.lazy_logits, labels, teacher.target if ratio > 0 else None, ratio, of
        )

    def prepare(
        self, batches: Sequence[Batch], student: StudentFn, teacher: TeacherOutputsFn
    ) -> Sequence[Batch]:
        """Sample responses for the whole batch on all ranks, or take those of the task."""
        p = self.params
        # Drawn on every rank, so that the generators stay in step, and decided by the first.
        self._own = self.ranks.broadcast(torch.rand(()).item()) < p.lmbda
        if not self._own:
            return batches
        sampling = Sampling(max_new_tokens=p.max_new_tokens, temperature=p.sampling_temperature)
        return [student.generate(batch, sampling) for batch in batches]

    def step(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> LossTerms:
        """The divergence on the student's own text, or both terms on that of the task."""
        if not self._own:
            return self.loss(batch, student(batch), teacher(batch))
        labels = batch.label_ids
        (of,) = self.divergences()
        return weighted(student(batch).lazy_logits, labels, teacher(batch).target, 1.0, of)


METHOD = GKD
