"""What methods on the vectors of texts share: the task loss, and vectors of one width.

The student's vectors stay as it gives them, so that the exported student needs no other layer. A
wider teacher is projected onto the principal axes of its vectors of some train rows, a narrower one
has zeros behind its vectors, which changes no cosine.

Axes: B row, D width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raykd.data.base import Batch
from raykd.data.task_kinds import APART_KINDS
from raykd.losses.embeddings import principal_axes
from raykd.losses.terms import Term
from raykd.methods.base import DistillationContext, LossTerms, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.embeddings import Embeddings
from raykd.models.signals.logits import Logits
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingParams:
    """Coefficients that all of them have."""

    alpha: float = param(
        0.9, low=0.0, high=1.0, help="Weight of distillation; the task loss gets 1 - alpha."
    )
    axes_rows: int = param(
        1024,
        low=1,
        help="Train rows that the axes of a wider teacher are found on.",
    )


P = TypeVar("P", bound=EmbeddingParams)


class EmbeddingMethod(Method[P]):
    """The task loss, and a distance between the vectors of student and teacher."""

    requires = OutputSpec(Embeddings())
    kinds = APART_KINDS

    def __init__(self, params: P, context: DistillationContext) -> None:
        super().__init__(params, context)
        wide, narrow = context.teacher.hidden, context.student.hidden
        self._axes = _Axes(wide, narrow) if wide > narrow else None

    def refusal(self) -> str:
        """Axes that cannot be found on so few vectors."""
        rows, narrow = self.params.axes_rows, self.context.student.hidden
        if self._axes is not None and self.params.alpha > 0 and 2 * rows < narrow:
            return (
                f"finds {narrow:,} axes, those of the student's width, on the vectors of "
                f"{rows:,} rows, which are {2 * rows:,}\nraise axes_rows"
            )
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """Axes where none are looked for."""
        if not self.params.alpha:
            return {"axes_rows": "alpha is 0"}
        return {} if self._axes is not None else {"axes_rows": "the teacher is not the wider one"}

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's vectors, unless their weight is 0."""
        return OutputSpec(Embeddings() if self.params.alpha > 0 else None)

    def student_outputs(self) -> OutputSpec:
        """The similarity, for the task loss, and the vectors."""
        return OutputSpec(Logits(), Embeddings())

    def modules(self) -> nn.Module | None:
        """The axes, kept as a buffer."""
        return self._axes if self.params.alpha > 0 else None

    def calibration_rows(self) -> int:
        """Rows that the axes are found on."""
        return self.params.axes_rows if self.modules() is not None else 0

    def calibrate(self, seen: Iterable[tuple[Batch, Outputs, Outputs]]) -> None:
        """Find the axes of the teacher's vectors."""
        assert self._axes is not None
        wide, narrow = self._axes.axes.shape
        gram = torch.zeros(wide, wide, dtype=torch.float64)
        for _, _, teacher in seen:
            vectors = teacher.read(Embeddings()).flatten(0, 1).double().cpu()
            gram += vectors.T @ vectors
        self._axes.axes.copy_(principal_axes(gram, narrow))

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms of non-zero weight."""
        alpha = self.params.alpha
        terms: dict[str, Term] = {}
        if alpha < 1:
            terms["task"] = (1 - alpha) * student.task_loss
        if alpha > 0:
            target = self.target(teacher.read(Embeddings()))
            terms["distil"] = alpha * self.distil(student.read(Embeddings()), target)
        return LossTerms(**terms)

    def target(self, vectors: Tensor) -> Tensor:
        """The teacher's vectors in the student's width, ``[B, 2, D]``."""
        if self._axes is not None:
            return vectors.detach().float() @ self._axes.axes
        return F.pad(vectors.detach(), (0, self.context.student.hidden - vectors.shape[-1]))

    @abstractmethod
    def distil(self, student: Tensor, teacher: Tensor) -> Term:
        """The mean distance of vectors ``[B, 2, D]`` of one width."""


class _Axes(nn.Module):
    """Axes of the teacher's vectors, ``[wide, narrow]``."""

    axes: Tensor

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        self.register_buffer("axes", torch.eye(wide, narrow))
