"""What the board holds for all: things laid down, and things that one worker makes for others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

READY = "ready"
MINE = "mine"
WAIT = "wait"


class Shared:
    """Values by key, and claims: who is at making a value that is not there yet.

    Args:
        put: Lays a value down where every node can read it, and returns a reference.
    """

    def __init__(self, put: Callable[[Any], Any]) -> None:
        self._put = put
        self._shared: dict[str, Any] = {}
        self._claims: dict[str, tuple[int, asyncio.Event]] = {}

    async def share(self, key: str, value: Any) -> None:
        """Lay down something all jobs may read (a teacher handle, a task)."""
        self._shared[key] = value

    async def drop(self, key: str) -> None:
        """Forget what was laid down under a key and everything below it (``key/...``)."""
        for name in [n for n in self._shared if n == key or n.startswith(f"{key}/")]:
            del self._shared[name]

    async def read(self, key: str) -> Any:
        """What was laid down under a key."""
        return self._shared[key]

    async def claim(self, key: str, slot: int, timeout_s: float) -> tuple[str, Any]:
        """Ask for something that one worker makes for all.

        Returns:
            `READY` and the reference; `MINE` when the caller is to make it and `keep` it; `WAIT`
            when another one is at it and was not done in time.
        """
        if key not in self._shared and key in self._claims and self._claims[key][0] != slot:
            await wait(self._claims[key][1], timeout_s)
        if key in self._shared:
            return READY, self._shared[key]
        if key in self._claims and self._claims[key][0] != slot:
            return WAIT, None
        self._claims[key] = (slot, asyncio.Event())
        return MINE, None

    async def keep(self, key: str, value: Any) -> None:
        """Lay down what was claimed. The board owns it, so that it survives the worker.

        The reference comes in a tuple: Ray passes on references only inside other values.
        """
        self._shared[key] = (self._put(value),)
        self._disclaim(key)

    async def retract(self, key: str, slot: int) -> None:
        """What was kept is lost, or the slot failed to make it: the next one to ask makes it."""
        if key in self._claims and self._claims[key][0] != slot:
            return
        self._shared.pop(key, None)
        self._disclaim(key)

    async def disclaim(self, slot: int) -> None:
        """A slot makes none of what it claimed: its job ended in the middle."""
        self._drop_claims(slot)

    def _disclaim(self, key: str) -> None:
        claim = self._claims.pop(key, None)
        if claim is not None:
            claim[1].set()

    def _drop_claims(self, slot: int) -> None:
        for key in [k for k, claim in self._claims.items() if claim[0] == slot]:
            self._disclaim(key)


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, at most so long."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
