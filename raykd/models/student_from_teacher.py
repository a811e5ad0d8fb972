"""A student that is derived from the teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from raykd.models.base import ModelDims


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentFromTeacher:
    """A student derived from the teacher: some of its layers, or all of them pruned.

    Attributes:
        layers: The selected layers, numbered from 0, when `sparsity` is None.
        weights: Those the teacher has after fine-tuning, or before.
        sparsity: Percent of the heads and neurons of the fine-tuned teacher that go.
        sort_by_importance: Whether the heads and neurons of every block are sorted, the most
            important first.
    """

    layers: tuple[int, ...] = ()
    weights: Literal["finetuned", "pretrained"]
    sparsity: float | None = None
    sort_by_importance: bool = False

    def dims(self, teacher: ModelDims) -> ModelDims:
        """The sizes of the student."""
        if self.sparsity is not None:
            return replace(teacher, uneven=True)
        return replace(teacher, layers=len(self.layers))
