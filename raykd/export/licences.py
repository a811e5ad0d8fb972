"""Whose licences an exported student has to agree with, and which models it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raykd.results.public import public_name

NOT_STATED = "not stated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Licences:
    """Licences as model hubs name them; None where none was stated.

    Attributes:
        student: The one under which the student is given on.
        teacher: Of the teacher that it learnt from.
        data: Of the rows that it was trained on.
    """

    student: str | None = None
    teacher: str | None = None
    data: str | None = None

    def rows(self) -> dict[str, str]:
        """All of them in words."""
        stated = {"this student": self.student, "its teacher": self.teacher,
                  "its data": self.data}  # fmt: skip
        return {of: licence or NOT_STATED for of, licence in stated.items()}


NONE_STATED = Licences()


def base_model(search_space: Mapping[str, Any]) -> str | None:
    """The model of the hub that a student began from: its own, or the teacher that it was cut from.

    Args:
        search_space: The resolved search space of its run.

    Returns:
        The name on the hub; None for sizes with random weights and folders of this machine.
    """
    student = search_space.get("student") or {}
    teacher = search_space.get("teacher") or {}
    named = student.get("model")
    if student.get("from_teacher"):
        named = teacher.get("checkpoint") or teacher.get("model")
    return named if isinstance(named, str) and _is_of_hub(named) else None


def _is_of_hub(name: str) -> bool:
    return public_name(name) == name and name.count("/") <= 1 and not Path(name).exists()
