"""How large and how fast a teacher is, and a student next to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedRecord:
    """A teacher and the initial student, measured by turns in the process that prepared it.

    Attributes:
        teacher_ms: Median milliseconds of a row in a batch of its own, from tokens to logits.
        student_ms: The same of the student.
        low: How many times longer the teacher takes, in the turn where that is least.
        high: The same where it is most.
        teacher_bytes: Bytes of its weights as they were measured, in float32.
        student_bytes: Those of the student.
        rows: Rows of the validation split that each of them was timed on.
        device: What they ran on, in words.
        threads: Threads of the process on the CPU.
        precision: Number format of the matrix products of both, ``fp32`` or ``bf16``.
    """

    teacher_ms: float
    student_ms: float
    low: float
    high: float
    teacher_bytes: int
    student_bytes: int
    rows: int
    device: str
    threads: int
    precision: str = ""
