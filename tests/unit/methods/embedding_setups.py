"""Outputs of a pair of models, and the terms of a method on the vectors of texts."""

from __future__ import annotations

from typing import Any

from raykd.losses.terms import LossTerms
from raykd.methods.base import DistillationContext, Method
from raykd.models.signals.embeddings import Embeddings
from tests.unit.methods import setups


def sides(of: DistillationContext) -> tuple[setups.Side, setups.Side]:
    """Student and teacher, each with vectors of texts."""
    also = (Embeddings(),)
    return (
        setups.Side(of, of.student, seed=0, also=also),
        setups.Side(of, of.teacher, seed=1, also=also),
    )


def terms_of(method: Method[Any], student: setups.Side, teacher: setups.Side) -> LossTerms:
    """The terms of a batch."""
    return method.loss(
        setups.batch(kind="embedding"),
        student.outputs(method.student_outputs(), task_loss=True),
        teacher.outputs(method.teacher_outputs(), task_loss=False),
    )
