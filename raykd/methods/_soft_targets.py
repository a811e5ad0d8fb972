"""The task loss and a distance of logits, weighted against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from raykd.data.kinds.base import TaskKind
from raykd.losses.terms import Term, mean_of
from raykd.models.base import Outputs


def task_and_distil(
    alpha: float,
    student: Outputs,
    teacher: Outputs,
    distance: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Term]:
    """The terms ``task`` and ``distil``; the one of weight 0 is left out, and nothing read for it.

    Args:
        alpha: Weight of the distance; the task loss has ``1 - alpha``.
        student: With its task loss and logits ``[B, C]``.
        teacher: With logits ``[B, C]``.
        distance: Of the logits of student and teacher, ``[B]``.
    """
    terms: dict[str, Term] = {}
    if alpha < 1:
        terms["task"] = (1 - alpha) * student.task_loss
    if alpha > 0:
        terms["distil"] = alpha * mean_of(distance(student.logits, teacher.logits))
    return terms


def unused_temperature(weight: float, kind: TaskKind, of: str = "alpha") -> Mapping[str, str]:
    """That the temperature of soft targets changes nothing, as `Method.unused` says it.

    Args:
        weight: Of the soft targets.
        kind: Of the task.
        of: What the weight is called.
    """
    if not kind.is_categorical:
        return {"temperature": f"{kind.name} compares scores as they are"}
    return {} if weight else {"temperature": f"{of} is 0"}
