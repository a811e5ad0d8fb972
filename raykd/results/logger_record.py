"""What a logger received of a sweep and what it did not."""

from __future__ import annotations

from dataclasses import dataclass

LOGGER_NOTE = "logger"
"""What a note is about that says that a logger was switched off: the records say more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggerRecord:
    """One logger at the end of a session.

    Attributes:
        name: As the file names it.
        place: Where what was logged is looked at; empty where it was never opened.
        sent: How much it received, over all sessions: beginnings, scores and ends.
        unsent: What was not handed on.
        why: Why not, or empty.
    """

    name: str
    place: str
    sent: int
    unsent: int
    why: str = ""
