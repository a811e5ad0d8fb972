"""What a logger was told of a sweep and what it was not; texts without secrets in addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass

LOGGER_NOTE = "logger"
"""What a note is about that says that a logger was switched off: the records say more."""

_USER = re.compile(r"(?<=://)[^/\s'\"]*@")
_KEY = re.compile(
    r"([?&][\w-]*(?:token|key|secret|password|passwd|pwd|sig)[\w-]*=)[^&\s'\"]+", re.I
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggerRecord:
    """One logger at the end of a session.

    Attributes:
        name: As the file names it.
        place: Where what was logged is looked at; empty where it was never opened.
        sent: How much it was told, over all sessions: beginnings, scores and ends.
        unsent: What was not handed on.
        why: Why not, or empty.
    """

    name: str
    place: str
    sent: int
    unsent: int
    why: str = ""


def without_secrets(text: str) -> str:
    """A text whose addresses have neither user and password nor keys: ``http://***@host``."""
    return _KEY.sub(r"\1***", _USER.sub("***@", text))
