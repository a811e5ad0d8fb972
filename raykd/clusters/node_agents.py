"""Node agents: one process on each node that starts and supervises the slots there.

The controller of a trainer is a thread of the process where `fit` is called, so that those of a
large cluster must not all be in the driver. A node that is lost takes its slots with it, and
nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ray

from raykd.own_folder import delete_own_folders
from raykd.trial.coordinator import NODE_LABEL, answer
from raykd.trial.slot_pool import CLOSE_S, KILL_S, SlotPool

JOIN_S = CLOSE_S + KILL_S + 5.0
"""Other nodes have this long to end their slots."""


class NodeAgents:
    """Starts slots on their nodes and stops them.

    Args:
        coordinator: Handle of the coordinator actor.
        pool: Makes a pool of slots from the folder for what Ray Train writes about them; called
            here, and on other nodes without a folder.
        storage: That folder, for slots of this node.
    """

    def __init__(
        self, coordinator: Any, pool: Callable[[str | None], SlotPool], storage: str | None
    ) -> None:
        self._coordinator = coordinator
        self._make = pool
        self._here: str = ray.get_runtime_context().get_node_id()
        self._local = pool(storage)
        self._remote: dict[str, Any] = {}
        self._slots: dict[int, str] = {}
        self._next = 0
        self._lock = threading.Lock()

    def start(self, count: int, node: str = "") -> list[int]:
        """Start slots; returns their numbers at once.

        Args:
            count: How many.
            node: Ray's name of the node that holds them; empty: wherever there is room.
        """
        with self._lock:
            numbers = list(range(self._next, self._next + count))
            self._next += count
            self._slots |= dict.fromkeys(numbers, node)
        answer(self._coordinator.add_slots.remote(numbers))
        if node in ("", self._here):
            self._local.start(numbers, node)
        else:
            self._agent(node).start.remote(numbers, node)
        return numbers

    def restart(self, slot: int) -> None:
        """Restart a slot that hangs where it is."""
        node = self._slots.get(slot, "")
        if node in ("", self._here):
            self._local.restart(slot)
        elif node in self._remote:
            self._remote[node].restart.remote(slot)

    def on(self, node: str) -> list[int]:
        """The slots of a node."""
        with self._lock:
            return [slot for slot, place in self._slots.items() if place == node]

    def count(self) -> int:
        """Slots that were started and not lost with their node."""
        with self._lock:
            return len(self._slots)

    def lost(self, node: str) -> list[int]:
        """A node is gone: its slots are, too, and their trials go elsewhere."""
        agents = self.on(node)
        with self._lock:
            for slot in agents:
                del self._slots[slot]
        self._remote.pop(node, None)
        answer(self._coordinator.remove_slots.remote(agents, "its node was lost"))
        return agents

    def close(self) -> bool:
        """Stop every slot and wait for them.

        Returns:
            Whether no thread of this process calls Ray for a slot any more.
        """
        ends = [agent.close.remote() for agent in self._remote.values()]
        quiet = self._local.close()
        if ends:
            ray.wait(ends, num_returns=len(ends), timeout=JOIN_S)
        for agent in self._remote.values():
            ray.kill(agent)
        return quiet

    def _agent(self, node: str) -> Any:
        if node not in self._remote:
            actor = ray.remote(_NodeAgent).options(
                num_cpus=0, max_concurrency=8, label_selector={NODE_LABEL: node}
            )
            self._remote[node] = actor.remote(self._make)
        return self._remote[node]


class _NodeAgent:
    """Supervises the slots of another node.

    Args:
        pool: Makes the pool.
    """

    def __init__(self, pool: Callable[[str | None], SlotPool]) -> None:
        self._pool = pool(None)

    def start(self, slots: list[int], node: str) -> None:
        """Start slots here."""
        self._pool.start(slots, node)

    def restart(self, slot: int) -> None:
        """End the processes of a slot that hang."""
        self._pool.restart(slot)

    def close(self) -> None:
        """Stop them; this process is ended after it."""
        self._pool.close()
        delete_own_folders()
