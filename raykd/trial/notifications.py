"""What the driver is notified of, in order: it asks for what came after what it knows."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from raykd.trial.shared_objects import wait


class Notifications:
    """A growing list that one reader waits on."""

    def __init__(self) -> None:
        self._all: list[dict[str, Any]] = []
        self._added = asyncio.Event()

    def add(self, kind: str, **what: Any) -> None:
        """Add one, with the time of now."""
        self._all.append({"kind": kind, "time": time.time(), **what})
        self._added.set()

    async def since(self, cursor: int, timeout_s: float) -> list[dict[str, Any]]:
        """Those from position `cursor` on; an empty list after `timeout_s` of silence."""
        if len(self._all) <= cursor:
            self._added.clear()
            await wait(self._added, timeout_s)
        return self._all[cursor:]
