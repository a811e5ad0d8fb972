"""What a method knows of teacher, student and task."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.data.kinds.base import TaskKind
from raykd.data.task_kinds import task_kind
from raykd.models.base import ModelDims
from raykd.models.packing import PACKING


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationContext:
    """What a method knows of teacher, student and task.

    Attributes:
        teacher: Sizes of the teacher.
        student: Sizes of the student.
        kind: Name of the kind of task, one of `raykd.data.task_kinds.KINDS`.
        num_labels: Classes, 1 for regression.
        same_tokens: Whether both models split text alike, so that positions correspond.
        vocabulary: Token ids that the student's tokenizer can give; None where that is not known.
        teacher_views: Names of the views of the rows that the teacher was fine-tuned on, the one
            that it answers first; empty where that is not known.
        teacher_name: The teacher in the user's words.
        student_name: The student in the user's words.
        adapted: Whether the student trains adapters next to its weights.
        holds: Kinds of signal that there are of a teacher that is no model here, whose sizes are
            then those of the student; None: whatever a model gives.
        unlabelled: Train rows without a label.
    """

    teacher: ModelDims
    student: ModelDims
    kind: str
    num_labels: int
    same_tokens: bool = True
    vocabulary: int | None = None
    teacher_views: tuple[str, ...] = ()
    teacher_name: str = "teacher"
    student_name: str = "student"
    adapted: bool = False
    holds: tuple[str, ...] | None = None
    unlabelled: int = 0

    @property
    def task_kind(self) -> TaskKind:
        """The kind of task."""
        return task_kind(self.kind)

    @property
    def shared_vocabulary(self) -> int:
        """Token ids that mean something to both: rows of an output matrix beyond are padding.

        To the student alone, where the teacher splits text differently.
        """
        given = self.student.vocabulary if self.vocabulary is None else self.vocabulary
        return min(given, *(sizes.vocabulary for sizes in self._readers()))

    @property
    def compared_vocabulary(self) -> int | None:
        """Token ids whose scores are compared; None where scores are not those of tokens."""
        return self.shared_vocabulary if self.task_kind.over_vocabulary else None

    @property
    def positions(self) -> int | None:
        """Most tokens of a row that all who read the student's text have positions for.

        None where there is no end to it.
        """
        known = [m.positions for m in self._readers() if m.positions is not None]
        return min(known, default=None)

    def no_packing(self, model: ModelDims) -> str:
        """Why the texts that a model reads cannot share a row, in the user's words, or empty.

        Args:
            model: Teacher or student.
        """
        if not self.task_kind.is_joined:
            return f"it reads rows of a {self.kind} task, and only texts of decoders can share one"
        return model.lack(PACKING)

    def _readers(self) -> tuple[ModelDims, ...]:
        return (self.teacher, self.student) if self.same_tokens else (self.student,)
