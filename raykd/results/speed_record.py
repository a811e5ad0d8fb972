"""How large and how fast a teacher is, and a student next to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedRecord:
    """A teacher and the initial student, measured by turns in the process that prepared it.

    Attributes:
        teacher_ms: Median milliseconds of a row in a batch of its own, from tokens to logits.
        student_ms: The same of the student.
        low: Lower quartile, over the rows, of how many times longer the teacher takes.
        high: Upper quartile.
        teacher_bytes: Bytes of its weights as they were measured, in float32.
        student_bytes: Those of the student.
        teacher_precision: Number format of its matrix products, ``fp32`` or ``bf16``.
        student_precision: That of the student.
        rows: Rows of the validation split that each of them was timed on.
        device: What they ran on, in words.
        threads: Threads of the process on the CPU.
    """

    teacher_ms: float
    student_ms: float
    low: float
    high: float
    teacher_bytes: int
    student_bytes: int
    teacher_precision: str
    student_precision: str
    rows: int
    device: str
    threads: int
