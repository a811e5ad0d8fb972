"""When this process last got on with its work, for whoever watches that it does."""

from __future__ import annotations

import time


class Pace:
    """Steps of a training and batches that are scored, as they are done.

    Attributes:
        at: When the last one was done, on the monotonic clock.
        longest: Most seconds that one took, of what began last.
    """

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.longest = 0.0

    def begin(self) -> None:
        """Something new begins: what was before does not count as the time of a step."""
        self.at = time.monotonic()
        self.longest = 0.0

    def made(self) -> None:
        """A step, or as much, was done."""
        now = time.monotonic()
        self.longest = max(self.longest, now - self.at)
        self.at = now


PACE = Pace()
"""That of this process, which trains one model at a time."""
