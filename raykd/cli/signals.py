"""Ctrl-C and SIGTERM while a sweep runs: the first stops it gracefully, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from raykd.clusters.processes import descendants, in_own_session, kill
from raykd.errors import Stopped
from raykd.own_folder import delete_own_folders

STDERR = 2


class Signals:
    """Handles SIGINT and SIGTERM; a context manager, in the main thread.

    The first of either raises `Stopped` in the main thread: what runs is stopped, and what there is
    is reported. The second says the last words, and ends this process and those it started; of the
    third nothing is left. A signal that the parent made this process ignore stays ignored.

    Args:
        last_words: What to say before an end at once.
    """

    def __init__(self, last_words: Callable[[], str]) -> None:
        self._last_words = last_words
        self._before: dict[int, Any] = {}
        self._count = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
