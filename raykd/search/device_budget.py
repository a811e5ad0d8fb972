"""The device time that each arm of a task may search for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


class DeviceBudget:
    """What arms have used of the same device time; without a limit none is ever used up.

    Trials count when they end. Those that are open when an arm has used its time run on, so that it
    may exceed it by them.

    Args:
        seconds: Device time of each arm; infinite for no limit.
        used: What each arm has used already: earlier trials, its share of the teacher.
    """

    def __init__(self, seconds: float = math.inf, used: Mapping[str, float] | None = None) -> None:
        self._seconds = seconds
        self._used = dict(used or {})

    def add(self, arm: str, seconds: float) -> None:
        """Count a trial that has ended."""
        self._used[arm] = self._used.get(arm, 0.0) + seconds

    def share(self, arm: str) -> float:
        """The share of its time that an arm has used, 0 where there is no limit."""
        return self._used.get(arm, 0.0) / self._seconds

    def allows(self, arm: str) -> bool:
        """Whether an arm may begin another trial."""
        return self.share(arm) < 1.0

    def used_up(self, arms: Iterable[str]) -> str:
        """What to say where arms may begin no trial any more; else empty."""
        names = [f"'{arm}'" for arm in arms if not self.allows(arm)]
        if not names:
            return ""
        return (
            f"no trial of {', '.join(names)} begins: search.device_budget is used up, an equal "
            "share of the teacher's time included; a larger one leaves time to search"
        )
