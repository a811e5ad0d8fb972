"""Says that a job makes no progress: since when, where its code is, and what can be done."""

from __future__ import annotations

import time
from collections.abc import Callable

from raykd.training.pace import PACE, Pace

QUIET_S = 300.0
"""A job that has made no step for so long is spoken of, and again each time it is twice as long."""

TIMES = 20
"""Times as long as its longest step that a job must have made none."""


class QuietWatch:
    """Watches that a job gets on; it is left alone, as nobody knows how long a step may take.

    Args:
        name: Of the job.
        tell: Called with what there is to say.
        is_trial: Whether it trains a student; there is no time limit for others.
        quiet_s: Least seconds without a step.
        pace: Of the process that works on the job.
    """

    def __init__(
        self,
        name: str,
        tell: Callable[[str], None],
        *,
        is_trial: bool,
        quiet_s: float = QUIET_S,
        pace: Pace = PACE,
    ) -> None:
        self._name = name
        self._tell = tell
        self._limit = "search.trial_time_limit ends trials that take too long, and " * is_trial
        self._quiet_s = quiet_s
        self._pace = pace
        self._warned: tuple[float, float] = (0.0, 0.0)
        pace.begin()

    def look(self, stack: Callable[[], str]) -> None:
        """Say it when the job is quiet for long.

        Args:
            stack: Says where its code is.
        """
        last, longest = self._pace.at, self._pace.longest
        quiet = time.monotonic() - last
        before = self._warned[1] if self._warned[0] == last else 0.0
        if quiet < max(self._quiet_s, TIMES * longest, 2 * before):
            return
        self._warned = (last, quiet)
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - quiet))
        usual = f"; the longest step so far took {longest:.1f} s" if longest else ""
        self._tell(
            f"{self._name} has made no step for {_words(quiet)}, since {since}{usual}. It is left "
            f"alone: {self._limit}Ctrl-C ends the sweep. It is in:\n{stack()}"
        )


def _words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.1f} s"
