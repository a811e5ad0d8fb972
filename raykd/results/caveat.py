"""A reason to trust a verdict less."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Caveat:
    """A reason to trust a verdict less.

    Attributes:
        code: Stable short name, e.g. ``few-seeds``.
        message: What was found, with its numbers.
        hint: What to do about it.
        task: Task it concerns, empty for the whole sweep.
        arm: Arm it concerns, empty for all.
    """

    code: str
    message: str
    hint: str = ""
    task: str = ""
    arm: str = ""
