"""When slots were last heard of: which of them are silent, and which do not come back."""

from __future__ import annotations

import time
from collections.abc import Iterator

HUNG_SILENCES = 6
"""Times as long as a silence, after which a slot does not come back by itself. Until then, one that
has lost its workers may only be starting new ones."""

SILENT, HUNG = "silent", "hung"


class SignsOfLife:
    """The last sign of life of every slot that is expected to give one.

    Args:
        silence_s: Seconds without one after which a slot counts as silent.
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._heard: dict[int, float] = {}
        self._reported: dict[int, float] = {}

    def heard(self, slot: int) -> None:
        """A slot was heard of just now."""
        self._heard[slot] = time.monotonic()

    def forget(self, slot: int) -> None:
        """Nothing is expected of a slot until it is heard of again."""
        self._heard.pop(slot, None)

    def news(self) -> Iterator[tuple[int, str]]:
        """Slots that are silent or hung since the last look, each said once."""
        now = time.monotonic()
        for slot, heard in list(self._heard.items()):
            if now - heard > HUNG_SILENCES * self._silence_s:
                self.forget(slot)
                yield slot, HUNG
            elif now - heard > self._silence_s and self._reported.get(slot) != heard:
                self._reported[slot] = heard
                yield slot, SILENT
