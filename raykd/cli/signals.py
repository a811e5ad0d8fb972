"""Ctrl-C and SIGTERM while a sweep runs: the first stops it gracefully, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from raykd.clusters.processes import descendants, in_own_session, kill
from raykd.errors import Stopped
from raykd.own_folder import delete_own_folders

STDERR = 2

AGAIN_S = 0.05
"""After so long a signal is sent again that was lost."""


class Signals:
    """Handles SIGINT and SIGTERM; a context manager, in the main thread.

    The first of either raises `Stopped` in the main thread: what runs is stopped, and what there is
    is reported. The second says the last words, and ends this process and those it started; of the
    third nothing is left. A signal that the parent made this process ignore stays ignored.

    What is raised while Python deletes an object reaches nobody; then the signal is sent once more.

    Args:
        last_words: What to say before an end at once.
    """

    def __init__(self, last_words: Callable[[], str]) -> None:
        self._last_words = last_words
        self._before: dict[int, Any] = {}
        self._count = 0
        self._unraisable: Callable[[sys.UnraisableHookArgs], Any] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
            self._unraisable = sys.unraisablehook
            sys.unraisablehook = self._again
        return self

    def __exit__(self, *error: object) -> None:
        if self._unraisable is not None:
            sys.unraisablehook = self._unraisable
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _again(self, lost: sys.UnraisableHookArgs) -> None:
        """Send a signal again whose `Stopped` was raised where it reaches nobody."""
        if isinstance(lost.exc_value, Stopped):
            self._count = 0
            threading.Timer(AGAIN_S, self._send, (lost.exc_value.signal,)).start()
        elif self._unraisable is not None:
            self._unraisable(lost)

    def _send(self, number: int) -> None:
        if sys.unraisablehook == self._again:  # else it is no longer handled here
            os.kill(os.getpid(), number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            raise Stopped(number)
        # No streams and no locks: the code that was interrupted may hold them.
        for other in self._before:
            signal.signal(other, signal.SIG_DFL)
        os.write(STDERR, f"{self._last_words()}\n".encode())
        # The processes of a local cluster are ended by the one that started them, which cleans up.
        kill(in_own_session(descendants(os.getpid())))
        delete_own_folders()
        os._exit(Stopped(number).exit_code)
