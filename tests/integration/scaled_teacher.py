"""A method whose trials read the teacher with its head scaled: the smallest derived teacher."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from raykd.data.base import Array, Batch
from raykd.methods.base import (
    AnalysisContext,
    LossTerms,
    Method,
    OutputSpec,
    TeacherAnalysis,
    TeacherVariant,
)
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """How much the head is scaled; 1 leaves the teacher as it is."""

    factor: float = param(1.0, low=0.0, open=True, help="Scale of the teacher's head.")
    rows: int = param(8, low=1, help="Rows that the analysis looks at.")


@dataclass(frozen=True)
class Mean(TeacherAnalysis):
    """Mean logits of some rows, and the weight norm of a student distilled for one epoch."""

    rows: int

    def analyse(self, context: AnalysisContext) -> Mapping[str, Array]:
        """Both."""
        teacher = context.teacher()
        outs = [
            context.run(teacher, b).logits.detach() for b in context.batches("train", 4, self.rows)
        ]
        student = context.distil({"epochs": 1, "lr": 1e-3}, 2.0, 0)
        norm = sum(p.norm().item() for p in student.parameters())
        return {
            "mean": np.concatenate([o.numpy() for o in outs]).mean(0),
            "rows": np.array(sum(len(o) for o in outs)),
            "norm": np.array(norm),
        }


class ScaledTeacher(Method[Params]):
    """The squared distance to the scaled logits."""

    title = "logits of a scaled teacher"
    reference = ""
    requires = OutputSpec(Logits())

    def teacher_analysis(self) -> TeacherAnalysis | None:
        """The mean, unless nothing is scaled."""
        return Mean(self.params.rows) if self.params.factor != 1 else None

    def teacher_variant(self, analysis_result: Mapping[str, Array]) -> TeacherVariant | None:
        """The scaled teacher."""
        assert analysis_result["rows"] == self.params.rows
        factor = self.params.factor
        return TeacherVariant(
            key=f"x{factor:g}", about=f"{factor:g} times", make=functools.partial(scale, by=factor)
        )

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The distance."""
        return LossTerms(match=(student.logits.float() - teacher.logits).square().mean())


def scale(model: nn.Module, by: float) -> nn.Module:
    """Scale the head in place."""
    head = model.get_submodule("classifier")
    for weight in head.parameters():
        weight.data.mul_(by)
    return model


METHOD = ScaledTeacher
