"""Which teacher layer is compared with which student layer.

Layers of hidden states are numbered 0 (embedding output) to the number of blocks; attention maps
are numbered by block from 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from raykd.errors import SpecError

HIDDEN_STRATEGIES = ("emb+skip", "skip", "last", "final", "emb", "emb+final", "triple")
"""Strategies that match hidden states."""

ATTENTION_STRATEGIES = ("att_skip",)
"""Strategies that match attention maps."""


@dataclass(frozen=True, slots=True)
class LayerPairs:
    """Matched layers: entry k of one side goes with entry k of the other.

    Attributes:
        teacher: Layer numbers of the teacher, rising.
        student: Layer numbers of the student, rising, as many.
    """

    teacher: tuple[int, ...]
    student: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.teacher)


def match_layers(strategy: str, teacher: int, student: int) -> LayerPairs:
    """Pair the layers of a teacher and a student.

    ``skip`` divides both models into equal parts, as many as the greatest common divisor.

    Args:
        strategy: One of `HIDDEN_STRATEGIES` or `ATTENTION_STRATEGIES`.
        teacher: Number of blocks of the teacher.
        student: Number of blocks of the student.

    Raises:
        SpecError: If the strategy does not exist or cannot serve this pair of depths.

    Example:
        >>> match_layers("emb+skip", 12, 4)
        LayerPairs(teacher=(0, 3, 6, 9, 12), student=(0, 1, 2, 3, 4))
    """
    parts = math.gcd(teacher, student)
    skip_teacher = tuple(range(teacher // parts, teacher + 1, teacher // parts))
    skip_student = tuple(range(student // parts, student + 1, student // parts))
    match strategy:
        case "emb+skip":
            return LayerPairs((0, *skip_teacher), (0, *skip_student))
        case "skip":
            return LayerPairs(skip_teacher, skip_student)
        case "last":
            _require(teacher >= student, strategy, teacher, student, "at least as many blocks")
            rise = teacher - student
            own = tuple(range(1, student + 1))
            return LayerPairs(tuple(k + rise for k in own), own)
        case "final":
            return LayerPairs((teacher,), (student,))
        case "emb":
            return LayerPairs((0,), (0,))
        case "emb+final":
            return LayerPairs((0, teacher), (0, student))
        case "triple":
            return LayerPairs((0, teacher // 2, teacher), (0, student // 2, student))
        case "att_skip":
            _require(teacher % student == 0, strategy, teacher, student, "a multiple of the blocks")
            return LayerPairs(tuple(range(0, teacher, teacher // student)), tuple(range(student)))
    known = ", ".join(HIDDEN_STRATEGIES + ATTENTION_STRATEGIES)
    raise SpecError(f"unknown layer strategy '{strategy}'", hint=f"one of: {known}")


def _require(holds: bool, strategy: str, teacher: int, student: int, what: str) -> None:
    if not holds:
        raise SpecError(
            f"layer strategy '{strategy}' needs a teacher with {what} of the student, "
            f"got {teacher} and {student} blocks",
            hint="use emb+skip",
        )
