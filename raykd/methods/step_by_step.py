"""Distilling step-by-step: the student learns to answer, and to say why.

Two examples per row share the student: `predict` asks for the label, `explain` for the rationale.
At test time only the first is used. With a teacher, its distributions over the tokens of labels
and rationales are further things to learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.data.base import EXPLAIN, PLAIN, PREDICT, Batch
from raykd.data.task_kinds import TEXT_KINDS
from raykd.losses.closed_forms import nll
from raykd.losses.targets import Divergence, TeacherTarget
from raykd.losses.terms import Count
from raykd.losses.vocabulary import LazyLogits, summed
from raykd.methods.base import LossTerms, Mean, Method, OutputSpec, StudentFn, TeacherOutputsFn
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.models.signals.rationales import Rationales
from raykd.models.signals.running_model import RunningModel
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of step-by-step distillation; the defaults are its authors'."""

    alpha: float = param(0.5, low=0.0, high=1.0, help="Weight of labels; rationales get 1 - alpha.")
    kappa_l: float = param(
        0.0, low=0.0, high=1.0, help="Share of the teacher in the tokens of labels."
    )
    kappa_r: float = param(
        0.0, low=0.0, high=1.0, help="Share of the teacher in the tokens of rationales."
    )
    teacher_prompt: str = param(
        "plain",
        choices=("plain", "same"),
        help="What the teacher reads: the rows as they are, or what the student reads; the latter "
        "is for teachers that were trained with the names of the tasks (teacher.finetune.explain).",
    )
    divergence: str = param(
        "forward_kl",
        choices=("forward_kl", "reverse_kl", "jsd", "skew_forward_kl", "skew_reverse_kl"),
        help="Distance to the teacher's distributions.",
    )
    beta: float = param(0.5, low=0.0, high=1.0, help="Weight of the teacher in the mixture of jsd.")
    lam: float = param(0.1, low=0.0, high=0.99, help="Mixed in by skewed divergences.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Half:
    """Labels or rationales of a batch.

    Attributes:
        scores: The student's, of M tokens; None where no row has any, so that nothing was run.
        labels: int64 ``[M]``.
        target: The teacher's distributions for these tokens, or None.
        share: Of the teacher.
    """

    scores: LazyLogits | None
    labels: Tensor
    target: TeacherTarget | None = None
    share: float = 0.0

    @classmethod
    def rationales(
        cls,
        explain: Batch,
        student: StudentFn,
        teacher: TeacherOutputsFn | None = None,
        share: float = 0.0,
        *,
        lockstep: bool = False,
    ) -> Half:
        """The rationales of a batch, of which some rows or all may have none.

        Args:
            explain: The rows, asked to explain.
            student: Is run where there is something to learn.
            teacher: Where it has a share.
            share: Of the teacher.
            lockstep: Whether all ranks run a model equally often, so also where there is nothing.
        """
        labels = explain.label_ids
        if not len(labels) and not lockstep:
            return cls(scores=None, labels=labels)
        scores = student(explain).lazy_logits
        target = teacher(explain).target if teacher is not None and share > 0 else None
        return cls(scores=scores, labels=labels, target=target, share=share)

    def loss(self, weight: float, of: Divergence) -> Mean:
        """``weight * ((1 - share) * likelihood + share * divergence)``, a mean over M tokens."""
        count = len(self.labels)
        if self.scores is None:
            return Mean(torch.zeros((), device=self.labels.device), 0)
        if not count:
            return Mean(0.0 * self.scores.states.sum(), 0)
        target = None if self.target is None else self.target.cast(self.scores.dtype)

        def terms(chunk: Tensor, at: slice) -> Tensor:
            labels = self.labels[at]
            if target is None or self.share == 0:
                return weight * (1 - self.share) / count * nll(chunk, labels).sum()[None]
            soft, hard = target.distance_and_nll(chunk, at, of, labels)
            loss = (1 - self.share) * hard.sum() + self.share * soft.sum()
            return (weight / count * loss)[None]

        return Mean(summed(self.scores, terms)[0], count)


def both(
    label: Half | None, rationale: Half | None, *, alpha: float, of: Divergence | None = None
) -> LossTerms:
    """``alpha * labels + (1 - alpha) * rationales``, each a mean over its own tokens.

    A half that is None or has weight 0 is left out, and the other one keeps its weight. One without
    tokens is 0 and counts nothing.

    Args:
        label: Labels.
        rationale: Rationales.
        alpha: Weight of labels.
        of: Distance to the teacher.
    """
    halves = {"label": (label, alpha), "rationale": (rationale, 1 - alpha)}
    terms = {}
    for name, (half, weight) in halves.items():
        if half is not None and weight > 0:
            terms[name] = half.loss(weight, of or Divergence())
    return LossTerms(**terms)


class StepByStep(Method[Params]):
    """Labels and rationales as two tasks of one student."""

    title = "labels and rationales as two tasks"
    reference = "https://arxiv.org/abs/2305.02301"
    authors = "Hsieh et al. 2023"
    requires = OutputSpec(Logits(), Rationales(), RunningModel())
    kinds = TEXT_KINDS
    view = PREDICT

    def refusal(self) -> str:
        """A teacher that was never asked to explain has nothing to say of rationales."""
        if self.params.kappa_r > 0 and self.params.teacher_prompt == "plain":
            return (
                "compares distributions over rationales (kappa_r > 0), and a teacher that reads "
                "rows as they are gives none\n"
                "set teacher_prompt: same, with a teacher that was trained to explain "
                "(teacher.finetune.explain), or kappa_r: 0"
            )
        views = self.context.teacher_views
        if RunningModel() in self.teacher_outputs() and views and EXPLAIN not in views:
            return (
                "lets the teacher read the names of the tasks (teacher_prompt: same), which this "
                "one did not see in fine-tuning\n"
                "set teacher.finetune.explain: 0.5, or teacher_prompt: plain"
            )
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """What belongs to a task of weight 0, and to a teacher or divergence without a share."""
        p = self.params
        reasons: dict[str, str] = {}
        if p.alpha in (0, 1):
            reasons["kappa_r" if p.alpha else "kappa_l"] = f"alpha is {p.alpha:g}"
        shares = [name for name in ("kappa_l", "kappa_r") if name not in reasons]
        if not any(getattr(p, name) for name in shares):
            why = f"{' and '.join(shares)} {'are' if len(shares) > 1 else 'is'} 0"
            return reasons | dict.fromkeys(("teacher_prompt", "divergence", "beta", "lam"), why)
        if p.divergence != "jsd":
            reasons["beta"] = "divergence is not jsd"
        if "skew" not in p.divergence:
            reasons["lam"] = "divergence is not a skewed one"
        return reasons

    def teacher_outputs(self) -> OutputSpec:
        """Rationales, and the teacher's distributions where they have a share."""
        p = self.params
        shared = p.kappa_l > 0 or p.kappa_r > 0
        # What it says of the student's prompts was not recorded.
        return OutputSpec(
            Rationales(),
            Logits() if shared else None,
            RunningModel() if shared and p.teacher_prompt == "same" else None,
        )

    def views(self) -> tuple[str, ...]:
        """Rationales, and the rows as the teacher reads them."""
        p = self.params
        return (EXPLAIN, PLAIN) if p.kappa_l > 0 and p.teacher_prompt == "plain" else (EXPLAIN,)

    def divergences(self) -> tuple[Divergence, ...]:
        """The one that was chosen."""
        p = self.params
        if p.kappa_l == 0 and p.kappa_r == 0:
            return ()
        return (Divergence(kind=p.divergence, beta=p.beta, lam=p.lam),)

    def counts(self, batch: Batch) -> Mapping[str, Count]:
        """Tokens of rationales; labels are what the task counts."""
        return {"rationale": len(batch.views[EXPLAIN].labelled)}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """Labels alone."""
        return both(self._label(batch, student, teacher), None, alpha=1.0, of=self._of())

    def step(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> LossTerms:
        """Both tasks, each with a pass of its own; a task of weight 0 is left out."""
        p = self.params
        label = rationale = None
        if p.alpha > 0:
            plain = batch.views[PLAIN] if PLAIN in self.views() else batch
            plain_outputs = teacher(plain) if p.kappa_l > 0 else Outputs()
            label = self._label(batch, student(batch), plain_outputs)
        if p.alpha < 1:
            rationale = Half.rationales(
                batch.views[EXPLAIN], student, teacher, p.kappa_r, lockstep=self.ranks.lockstep
            )
        if label is None and rationale is not None and rationale.scores is None:
            # No row of the batch has a rationale, and labels have no weight: nothing is learnt.
            nothing = 0.0 * student(batch).lazy_logits.states.sum()
            return LossTerms(rationale=Mean(nothing, 0))
        return both(label, rationale, alpha=p.alpha, of=self._of())

    def _of(self) -> Divergence | None:
        return next(iter(self.divergences()), None)

    def _label(self, batch: Batch, student: Outputs, teacher: Outputs) -> Half:
        share = self.params.kappa_l
        return Half(
            scores=student.lazy_logits,
            labels=batch.label_ids,
            target=teacher.target if share > 0 else None,
            share=share,
        )


METHOD = StepByStep
