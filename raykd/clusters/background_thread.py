"""Runs a function in a thread of its own and raises its error where it is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from raykd.trial.coordinator import RAY_THREAD


class BackgroundThread:
    """Runs a function in a thread; the main thread stays free for Ctrl-C.

    Args:
        work: The function.
        name: What it does, in a word.
    """

    def __init__(self, work: Callable[[], None], name: str) -> None:
        self._error: BaseException | None = None
        # Not `Thread.join`: in Python 3.11 a signal that interrupts it marks the thread as ended.
        self._over = threading.Event()

        def run() -> None:
            try:
                work()
            except BaseException as exc:  # handed to the waiting thread
                self._error = exc
            finally:
                self._over.set()

        threading.Thread(target=run, daemon=True, name=f"{RAY_THREAD} {name}").start()

    def check(self) -> None:
        """Raise what the function raised, if it did."""
        if self._error is not None:
            raise self._error

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end, at most so long; whether it came. Raises what the function raised."""
        if not self._over.wait(timeout_s):
            return False
        self.check()
        return True

    def end(self, timeout_s: float) -> None:
        """Wait for the end, at most so long, of a function that has no more to say."""
        self._over.wait(timeout_s)
