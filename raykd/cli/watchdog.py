"""A small process that prints how to resume when a sweep dies without a message."""

from __future__ import annotations

import subprocess
import sys
from typing import Self

_WAIT_S = 5.0
_SCRIPT = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if not os.read(0, 1):
    sys.stderr.write(sys.argv[1] + chr(10))
"""


class Watchdog:
    """Prints last words unless it is dismissed before this process ends.

    It is there for ends that nothing in this process can see: the memory of the machine ran out, or
    Ray, whose own processes died, ended this one. It waits on a pipe that the kernel closes with
    this process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.dismiss()

    def watch(self, last_words: str) -> None:
        """Begin, with the words to say; a second call changes nothing."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _SCRIPT, last_words],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def dismiss(self) -> None:
        """End it: it is no longer needed."""
        if self._process is None or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(b".")
            self._process.stdin.close()
            self._process.wait(_WAIT_S)
        except (OSError, ValueError, subprocess.TimeoutExpired):  # it is gone, or does not end
            self._process.kill()
