"""What reading data brings up that a user should know, though it can be used as it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

log = logging.getLogger(__name__)

_heard: ContextVar[list[str] | None] = ContextVar("notes", default=None)


def note(message: str) -> None:
    """Tell something of the data: to whoever listens, or else as a warning in the log."""
    heard = _heard.get()
    if heard is None:
        log.warning("%s", message)
    elif message not in heard:
        heard.append(message)


@contextmanager
def listening() -> Iterator[list[str]]:
    """The notes of what is read within; each one once, in their order."""
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)
