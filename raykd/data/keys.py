"""Says which key of the user's file an error of the data belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from raykd.errors import DataError, SetupError


@contextmanager
def at_key(key: str) -> Iterator[None]:
    """Name the key in every error that names none.

    Args:
        key: Dotted place in the file; with a dot before it, a key of the task's description, whose
            own place is not known here. Empty where the file says nothing of it.
    """
    try:
        yield
    except (DataError, SetupError) as exc:
        if not key:
            raise
        raise exc.at(key) from exc
