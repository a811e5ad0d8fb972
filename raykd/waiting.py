"""A wait that has a name and a limit, and says what is waited for, since when, and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_S = 60.0
"""A wait is spoken of after so long, and again each time it has lasted twice as long."""


class Waiting:
    """One wait; `still` is called now and then while it lasts.

    Args:
        what: What is waited for, so that it follows "waiting for".
        hint: What can be done about it.
        tell: Called with what there is to say.
        limit_s: How long it may last; None without a limit.
    """

    def __init__(
        self, what: str, hint: str, tell: Callable[[str], None], limit_s: float | None
    ) -> None:
        self._what = what
        self._hint = hint
        self._tell = tell
        self._limit_s = limit_s
        self._began = time.monotonic()
        self._next = FIRST_S

    def still(self) -> bool:
        """Say that it still waits, when it is time; False where it has lasted too long."""
        lasted = time.monotonic() - self._began
        if lasted >= self._next:
            self._next = 2 * lasted
            since = time.strftime("%H:%M:%S", time.localtime(time.time() - lasted))
            most = "" if self._limit_s is None else f", at most {self._limit_s / 60:.0f} min"
            self._tell(
                f"still waiting for {self._what}, for {lasted / 60:.0f} min (since {since}{most}): "
                f"{self._hint}"
            )
        return self._limit_s is None or lasted < self._limit_s
