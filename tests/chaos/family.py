"""The processes of a command: everything that ever descended from it."""

from __future__ import annotations

import contextlib
import time

import psutil


class Family:
    """Processes by number and time of start, so that another one of the same number is none.

    Args:
        root: The command's own process.
    """

    def __init__(self, root: int) -> None:
        self.root = psutil.Process(root)
        self._seen: dict[psutil.Process, str] = {self.root: ""}

    def look(self) -> None:
        """Add what has been started since, also by those that lost their parent."""
        children: dict[int, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                children.setdefault(process.ppid(), []).append(process)
        waiting = [process for process in self._seen if process.is_running()]
        while waiting:
            process = waiting.pop()
            with contextlib.suppress(psutil.Error):
                # Ray's workers take the name of their work once they have some.
                self._seen[process] = " ".join(process.cmdline()) or self._seen.get(process, "")
            new = [child for child in children.get(process.pid, []) if child not in self._seen]
            self._seen |= dict.fromkeys(new, "")
            waiting += new

    def named(self, words: str) -> list[psutil.Process]:
        """Those that run and have some words in their command line, the oldest first."""
        self.look()
        actual = [process for process in self.alive() if words in self._seen[process]]
        return sorted((p for p in actual if p != self.root), key=lambda p: (p.create_time(), p.pid))

    def alive(self) -> list[psutil.Process]:
        """Those that run."""
        running = []
        for process in self._seen:
            with contextlib.suppress(psutil.Error):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    running.append(process)
        return running

    def gone(self, seconds: float) -> list[str]:
        """Wait for the end of all of them; returns the command lines of those that stay."""
        until = time.monotonic() + seconds
        while self.alive() and time.monotonic() < until:
            self.look()
            time.sleep(0.2)
        return sorted(self._seen[process][:80] for process in self.alive())
