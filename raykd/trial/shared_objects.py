"""Objects that all workers share: published by the driver, or made by the first to claim them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

READY = "ready"
MINE = "mine"
WAIT = "wait"


class SharedObjects:
    """Objects by key, and claims: which slot is making an object that does not exist yet.

    Args:
        store: Stores a value where every node can read it and returns a reference.
    """

    def __init__(self, store: Callable[[Any], Any]) -> None:
        self._store = store
        self._objects: dict[str, Any] = {}
        self._claims: dict[str, tuple[int, asyncio.Event]] = {}

    async def publish(self, key: str, value: Any) -> None:
        """Publish an object that all jobs can read (a teacher handle, a task)."""
        self._objects[key] = value

    async def delete(self, key: str) -> None:
        """Delete the object of a key and everything below it (``key/...``)."""
        for name in [n for n in self._objects if n == key or n.startswith(f"{key}/")]:
            del self._objects[name]

    async def read(self, key: str) -> Any:
        """The object published under a key."""
        return self._objects[key]

    async def claim(self, key: str, slot: int, timeout_s: float) -> tuple[str, Any]:
        """Ask for an object that one worker makes for all.

        Returns:
            `READY` and the reference; `MINE` when the caller is to make it and `put` it; `WAIT`
            when another slot is making it and was not done in time.
        """
        if key not in self._objects and key in self._claims and self._claims[key][0] != slot:
            await wait(self._claims[key][1], timeout_s)
        if key in self._objects:
            return READY, self._objects[key]
        if key in self._claims and self._claims[key][0] != slot:
            return WAIT, None
        self._claims[key] = (slot, asyncio.Event())
        return MINE, None

    async def put(self, key: str, value: Any) -> None:
        """Store what was claimed. The coordinator owns it, so that it survives the worker.

        It is copied in a thread, while others are answered. The reference comes in a tuple: Ray
        passes on references only inside other values.
        """
        self._objects[key] = (await asyncio.to_thread(self._store, value),)
        self._release_claim(key)

    async def invalidate(self, key: str, slot: int) -> None:
        """Remove an object that is lost or was not made; the next slot to claim it makes it."""
        if key in self._claims and self._claims[key][0] != slot:
            return
        self._objects.pop(key, None)
        self._release_claim(key)

    async def release_claims(self, slot: int) -> None:
        """Release the claims of a slot whose job was interrupted."""
        self._release_claims_of(slot)

    def _release_claim(self, key: str) -> None:
        claim = self._claims.pop(key, None)
        if claim is not None:
            claim[1].set()

    def _release_claims_of(self, slot: int) -> None:
        for key in [k for k, claim in self._claims.items() if claim[0] == slot]:
            self._release_claim(key)


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, at most so long."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
