"""A teacher that was derived from that of a task, and who learnt from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DerivedTeacher:
    """A teacher derived from the teacher of a task, and the trials that learnt from it.

    Attributes:
        task: Task name.
        key: Its identity among those of the task.
        about: What it is, in a few words.
        by: Parameters that chose it.
        rows: Rows passed through it to record its outputs, over all times it was made.
        seconds: Time of making and recording it.
        made: How often it was made.
        trials: Ids of the trials that learnt from it.
    """

    task: str
    key: str
    about: str
    rows: int
    seconds: float
    made: int
    trials: tuple[str, ...]
    by: tuple[str, ...] = ()
