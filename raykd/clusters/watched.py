"""A cluster whose loss is noticed: calls to one that is lost may never come back."""

from __future__ import annotations

import signal
import threading
import time
from abc import ABC, abstractmethod

from raykd.errors import ClusterLost

NOTICE_S = 2.0
"""Who looks again and again whether a cluster is lost has noticed it after so long."""


class WatchedCluster(ABC):
    """A cluster that this process uses.

    Attributes:
        lost: What of it has ended by itself; empty while all is well.
        interrupts: Whether a main thread that waits for it is interrupted then.
        is_over: Whether what it was used for is done, so that its loss is no fault to look into.
    """

    def __init__(self) -> None:
        self.lost = ""
        self.interrupts = False
        self.is_over = False
        self._noticed = False

    def notice(self) -> bool:
        """Whether it is lost; who asks looks after the main thread itself."""
        self._noticed = self._noticed or bool(self.lost)
        return self._noticed

    @abstractmethod
    def error(self) -> ClusterLost:
        """What to raise where it is lost."""

    def use(self) -> None:
        """This process is connected to it from now on."""
        self.interrupts = True
        used.append(self)

    def stay(self) -> None:
        """Let it be there until this process ends: a thread is still in a call to it."""
        self.interrupts = False
        _staying.append(self)

    def lose(self, what: str) -> None:
        """Note what has ended, and interrupt a main thread that has not noticed it by then.

        Args:
            what: In the user's words.
        """
        self.lost = what
        time.sleep(NOTICE_S)
        if self.interrupts and not self._noticed:
            # A real signal: it also ends a wait.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


abandoned = threading.Event()
"""Set where a cluster could not be left: what Ray does at the end of the process may wait for it,
and then end the process in its own way."""

used: list[WatchedCluster] = []
"""Those that this process is connected to."""


def lost() -> bool:
    """Whether a cluster that this process uses is lost: nobody answers any more."""
    return any(cluster.lost for cluster in used)


def staying() -> WatchedCluster | None:
    """The cluster that an earlier connection of this process could not leave."""
    return _staying[-1] if _staying else None


_staying: list[WatchedCluster] = []
