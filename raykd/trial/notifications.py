"""What the driver is notified of, in order: it fetches what came after what it knows."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from raykd.trial.shared_objects import wait


class Notifications:
    """A list that one reader waits on; what is before the place that it names is dropped."""

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []
        self._dropped = 0
        self._added = asyncio.Event()

    def add(self, kind: str, **what: Any) -> None:
        """Add one, with the time of now."""
        self._kept.append({"kind": kind, "time": time.time(), **what})
        self._added.set()

    async def since(self, cursor: int, timeout_s: float) -> list[dict[str, Any]]:
        """Those from position `cursor` on; an empty list after `timeout_s` of silence."""
        known = min(max(cursor - self._dropped, 0), len(self._kept))
        self._kept = self._kept[known:]
        self._dropped += known
        if not self._kept:
            self._added.clear()
            await wait(self._added, timeout_s)
        return list(self._kept)
