"""The time budget of a sweep's searches, in equal shares for its tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class SearchClock:
    """Gives each task the same share of the time that the searches may take together.

    What a task leaves goes to those after it. Teachers and the confirm stage are not counted: they
    take what they take, and no task is to search less because an earlier one was confirmed.

    Args:
        budget_s: Seconds of all searches together, None for no limit.
        tasks: How many tasks there are.
        now: A clock that never goes back.
    """

    def __init__(
        self, budget_s: float | None, tasks: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._left_s = budget_s
        self._tasks = tasks
        self._now = now

    @contextmanager
    def running(self) -> Iterator[float | None]:
        """The search of one task; yields when it has to end, None for no limit."""
        began = self._now()
        share = None if self._left_s is None else max(self._left_s, 0.0) / max(self._tasks, 1)
        try:
            yield None if share is None else began + share
        finally:
            self._tasks -= 1
            if self._left_s is not None:
                self._left_s -= self._now() - began
