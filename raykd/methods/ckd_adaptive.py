"""CKD for students of adaptive width and depth: one student, trained to be cut to several sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from raykd.data.base import Batch
from raykd.methods import ckd
from raykd.methods.base import Forward, LossTerms, Method, Reader, Setting, Signals
from raykd.models.base import Outputs, Part, Reduction
from raykd.params import param

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Widths and depths of DynaBERT."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params(ckd.Params):
    """Those of CKD, and the smallest part that is trained."""

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
    """Every step runs several parts of the student against the whole teacher and adds their losses.

    First the widths alone, then every width at every depth, as DynaBERT does; CKD's relations take
    the place of its hidden-state loss, because they need no equal widths. Layers are matched anew
    for every depth. The parts are the first heads and neurons: a student cut with
    ``sort_by_importance: true`` has the important ones there.
    """

    title = "CKD for students that can be cut to several sizes"
    reference = "https://arxiv.org/abs/2004.04037"
    requires = ckd.METHOD.requires
    kinds = ckd.METHOD.kinds

    def __init__(self, params: Params, setting: Setting) -> None:
        super().__init__(params, setting)
        self._all = tuple(_parts(params.min_width, params.min_depth))
        self._active = self._all
        layers = setting.student.layers
        self._of_depth = {
            part.depth: ckd.METHOD(
                params,
                replace(
                    setting,
                    student=replace(setting.student, layers=len(part.blocks(layers))),
                ),
            )
            for part in self._all
        }

    def refusal(self) -> str:
        """Students that cannot be cut, and depths at which a term of CKD would always be 0."""
        student = self.setting.student
        if student.intermediate is None or student.uneven:
            why = "has lost some already" if student.uneven else "belongs to another family"
            return (
                f"runs parts of the student's heads and neurons, but "
                f"'{self.setting.student_name}' {why}\n"
                "choose a student like BERT, RoBERTa or DistilBERT that was not pruned"
            )
        for depth, method in self._of_depth.items():
            if reason := method.refusal():
                return reason if depth == 1 else f"at depth {depth:g} {reason}"
        return super().refusal()

    def signals(self) -> Signals:
        """What CKD reads at any depth."""
        union = Signals()
        for method in self._of_depth.values():
            union = union.union(method.signals())
        return union

    def reductions(self) -> tuple[Reduction, ...]:
        """Those of CKD at any depth."""
        every = (r for method in self._of_depth.values() for r in method.reductions())
        return tuple(dict.fromkeys(every))

    def student_signals(self) -> Signals:
        """Everything: a part numbers its own blocks."""
        return Signals(logits=True, hidden_states="all")

    def parts(self) -> tuple[Part, ...]:
        """All parts but the whole student."""
        return tuple(part for part in self._all if part != Part())

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Leave the depths out during the first epochs."""
        only_widths = epoch < self.params.width_epochs
        self._active = tuple(p for p in self._all if p.depth == 1 or not only_widths)

    def step(self, batch: Batch, student: Forward, teacher: Reader) -> LossTerms:
        """The terms of every part, added up."""
        theirs = teacher(batch)
        total: dict[str, Any] = {}  # either kind of term; a name is of one kind
        for part in self._active:
            ours = student(batch, None if part == Part() else part)
            for name, term in self._of_depth[part.depth].loss(batch, ours, theirs).means.items():
                # Every part counts the same items, or a fixed number of layers times as many.
                total[name] = total[name] + term if name in total else term
        return LossTerms(**total)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms of the whole student."""
        return self._of_depth[1.0].loss(batch, student, teacher)


def _parts(min_width: float, min_depth: float) -> Iterator[Part]:
    for depth in SHARES:
        for width in SHARES:
            if width >= min_width and depth >= min_depth:
                yield Part(width=width, depth=depth)


METHOD = AdaptiveCKD
