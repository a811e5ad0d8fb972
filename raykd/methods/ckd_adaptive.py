"""CKD for students of adaptive width and depth: one student, trained to be cut to several sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raykd.data.base import Batch
from raykd.losses.terms import Count
from raykd.methods import ckd
from raykd.methods.base import (
    DistillationContext,
    LossTerms,
    Method,
    OutputSpec,
    StudentFn,
    TeacherOutputsFn,
)
from raykd.models.base import Outputs, Subnet
from raykd.models.signals.features import FeatureTransform
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.params import param

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Widths and depths of DynaBERT."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(ckd.Params):
    """Those of CKD, and the smallest subnet that is trained."""

    min_width: float = param(
        0.5, choices=SHARES, help="Smallest share of heads and neurons; the steps are 0.25."
    )
    min_depth: float = param(
        0.5, choices=SHARES, help="Smallest share of blocks; the steps are 0.25."
    )
    width_epochs: int = param(
        1, low=0, help="Epochs at the beginning in which only widths are trained."
    )


class AdaptiveCKD(Method[Params]):
    """Distils the whole teacher into several subnets of the student in every step.

    The losses of the subnets are added. First the widths are trained alone, then every width at
    every depth, as in DynaBERT; CKD's relations replace its hidden-state loss, because they need
    no equal widths. Layers are matched separately for every depth. A subnet has the first heads and
    neurons of every block; these are the most important ones in a student with
    ``sort_by_importance: true``.
    """

    title = "CKD for students that can be cut to several sizes"
    reference = "https://arxiv.org/abs/2004.04037"
    authors = "Hou et al. 2020"
    requires = ckd.METHOD.requires
    kinds = ckd.METHOD.kinds

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self._all = tuple(_subnets(params.min_width, params.min_depth))
        self._active = self._all
        layers = context.student.layers
        self._of_depth = {
            subnet.depth: ckd.METHOD(
                params,
                replace(
                    context,
                    student=replace(context.student, layers=len(subnet.blocks(layers))),
                ),
            )
            for subnet in self._all
        }

    def refusal(self) -> str:
        """Students that cannot be cut, and depths at which a term of CKD would always be 0."""
        student = self.context.student
        if student.intermediate is None or student.uneven:
            why = "has lost some already" if student.uneven else "belongs to another family"
            return (
                f"runs subnets of the student's heads and neurons, but "
                f"'{self.context.student_name}' {why}\n"
                "choose a student like BERT, RoBERTa or DistilBERT that was not pruned"
            )
        for depth, method in self._of_depth.items():
            if reason := method.refusal():
                return reason if depth == 1 else f"at depth {depth:g} {reason}"
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """What CKD does not use, and epochs without depths where there are none to leave out."""
        reasons = dict(self._of_depth[1.0].unused())
        if self.params.min_depth == 1:
            reasons["width_epochs"] = "min_depth is 1"
        return reasons

    def teacher_outputs(self) -> OutputSpec:
        """What CKD reads at any depth."""
        union = OutputSpec()
        for method in self._of_depth.values():
            union = union.union(method.teacher_outputs())
        return union

    def feature_transforms(self) -> tuple[FeatureTransform, ...]:
        """Those of CKD at any depth."""
        every = (r for method in self._of_depth.values() for r in method.feature_transforms())
        return tuple(dict.fromkeys(every))

    def student_outputs(self) -> OutputSpec:
        """Everything: a subnet numbers its own blocks."""
        return OutputSpec(Logits(), *hidden_states("all"))

    def subnets(self) -> tuple[Subnet, ...]:
        """All subnets but the whole student."""
        return tuple(subnet for subnet in self._all if subnet != Subnet())

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Leave the depths out during the first epochs."""
        only_widths = epoch < self.params.width_epochs
        self._active = tuple(p for p in self._all if p.depth == 1 or not only_widths)

    def counts(self, batch: Batch) -> Mapping[str, Count]:
        """What the whole student counts: every subnet counts the same."""
        return self._of_depth[1.0].counts(batch)

    def step(self, batch: Batch, student: StudentFn, teacher: TeacherOutputsFn) -> LossTerms:
        """The terms of every subnet, added up."""
        teacher_outputs = teacher(batch)
        total: dict[str, Any] = {}  # either kind of term; a name is of one kind
        for subnet in self._active:
            student_outputs = student(batch, None if subnet == Subnet() else subnet)
            for name, term in (
                self._of_depth[subnet.depth]
                .loss(batch, student_outputs, teacher_outputs)
                .means.items()
            ):
                # Every subnet counts the same items.
                total[name] = total[name] + term if name in total else term
        return LossTerms(**total)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms of the whole student."""
        return self._of_depth[1.0].loss(batch, student, teacher)


def _subnets(min_width: float, min_depth: float) -> Iterator[Subnet]:
    for depth in SHARES:
        for width in SHARES:
            if width >= min_width and depth >= min_depth:
                yield Subnet(width=width, depth=depth)


METHOD = AdaptiveCKD
