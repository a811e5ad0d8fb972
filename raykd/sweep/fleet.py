"""The slots of a sweep as nodes come and go: each is told of, filled, and written off."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ray

from raykd.errors import SetupError
from raykd.sweep import nodes
from raykd.sweep.background import Background
from raykd.sweep.events import EventLog
from raykd.trial.hosts import SlotHosts

if TYPE_CHECKING:
    from raykd.sweep.cluster import Cluster

LOOK_S = 2.0
"""How often it is looked which nodes there are."""

MISSES = 15
"""Looks in a row that may fail before the sweep ends."""

CLOSE_S = 10.0
"""A look that is under way when the sweep ends has this long."""


class Fleet:
    """Keeps as many slots as fit and are wanted.

    A slot of one rank is pinned to a node. Slots of several ranks may span nodes, so that they are
    started wherever there is room, and Ray Train starts them anew when they lose a rank.

    Args:
        cluster: What there is at the start, and how many slots are wanted.
        hosts: Starts and ends slots.
        coordinator: Handle of the coordinator actor.
        where: How workers find the coordinator.
        log: Told of nodes and slots.
    """

    def __init__(
        self,
        cluster: Cluster,
        hosts: SlotHosts,
        coordinator: Any,
        where: Mapping[str, str],
        log: EventLog,
    ) -> None:
        self.coordinator = coordinator
        self.where = where
        self._cluster = cluster
        self._hosts = hosts
        self._log = log
        self._nodes = {node.id: node for node in cluster.nodes}
        self._over = threading.Event()
        self.watcher: Background | None = None

    def start(self) -> None:
        """Start the first slots, and ask for nodes where there are too few."""
        self._fill()
        self._tell()
        if self._cluster.elastic:
            if self.count() < self._cluster.slots:
                self._ask()
            self.watcher = Background(self._watch, "watcher")

    def count(self) -> int:
        """Slots there are; at least one, as a trial may wait for the first."""
        return max(1, self._hosts.count())

    def close(self) -> None:
        """End every slot."""
        self._over.set()
        if self.watcher is not None:
            self.watcher.end(CLOSE_S)
        if self._cluster.elastic:
            nodes.ask_for(self._cluster.shape, 0, {})
        self._hosts.close()

    def _fill(self) -> dict[str, list[int]]:
        """Start slots that are wanted and fit; their numbers by node."""
        shape, wanted = self._cluster.shape, self._cluster.slots - self._hosts.count()
        started: dict[str, list[int]] = {}
        if shape.workers > 1:
            room = sum(n.ranks(shape) for n in self._nodes.values()) // shape.workers
            more = min(wanted, max(room, 1) - self._hosts.count())
            if more > 0:
                started[""] = self._hosts.start(more)
        else:
            for node, more in _spread(self._free(), wanted).items():
                started[node] = self._hosts.start(more, node)
        for node, numbers in started.items():
            address = self._nodes[node].address if node else ""
            for slot in numbers:
                self._log.emit("slot", slot=slot, state="starting", node=address)
        return started

    def _free(self) -> dict[str, int]:
        """Slots that fit on every node beside those it has."""
        shape = self._cluster.shape
        return {
            node.id: max(0, node.ranks(shape) - len(self._hosts.on(node.id)))
            for node in self._nodes.values()
        }

    def _tell(self) -> None:
        """What the sweep runs on now."""
        found = self._nodes.values()
        self._log.emit(
            "cluster",
            nodes=len(found),
            cpus=sum(n.cpus for n in found),
            gpus=sum(n.gpus for n in found),
            slots=self._hosts.count(),
            wanted=self._cluster.slots,
            where=[
                {"node": n.address, "cpus": n.cpus, "gpus": n.gpus,
                 "slots": len(self._hosts.on(n.id))}
                for n in found
            ],
        )  # fmt: skip

    def _ask(self) -> None:
        """Ask the autoscaler for what is missing, and say so."""
        shape = self._cluster.shape
        nodes.ask_for(shape, self._cluster.slots, shape.labels)
        each = f"{shape.cpus:g} CPUs" + (f" and {shape.gpus:g} GPUs" if shape.gpus else "")
        missing = self._cluster.slots - self._hosts.count()
        self._log.emit(
            "waiting",
            slots=missing,
            message=f"waiting for nodes that hold {missing} more slots of {shape.workers} x {each}",
        )

    def _watch(self) -> None:
        """Follow the nodes.

        A head that is busy may not answer for a while, which is no reason to end.

        Raises:
            SetupError: The log cannot be written, or the nodes cannot be seen any more.
        """
        missed = 0
        while not self._over.wait(LOOK_S):
            try:
                self._look()
                missed = 0
            except (ray.exceptions.RayError, ConnectionError) as exc:
                missed += 1
                if missed == MISSES:
                    raise SetupError(
                        f"the nodes of the cluster cannot be seen any more: {exc}",
                        hint="is its head alive? raykd sweep --resume continues",
                    ) from exc

    def _look(self) -> None:
        labels = self._cluster.shape.labels
        now = {n.id: n for n in nodes.alive() if n.has(labels)}
        gone = [node for key, node in self._nodes.items() if key not in now]
        new = [node for key, node in now.items() if key not in self._nodes]
        if not gone and not new:
            return
        self._nodes = now
        for node in gone:
            slots = self._hosts.lost(node.id)
            self._log.emit("node", node=node.address, state="lost", slots=slots)
        started = self._fill()
        for node in new:
            slots = started.get(node.id, [])
            self._log.emit("node", node=node.address, state="joined", slots=slots)
        self._tell()
        if gone and self._hosts.count() < self._cluster.slots:
            self._ask()


def _spread(free: Mapping[str, int], wanted: int) -> dict[str, int]:
    """So many slots over nodes with room, each time to the one that got fewest."""
    left, found = dict(free), dict.fromkeys(free, 0)
    for _ in range(max(0, min(wanted, sum(left.values())))):
        node = min((n for n in left if left[n]), key=lambda n: (found[n], -left[n]))
        left[node] -= 1
        found[node] += 1
    return {node: count for node, count in found.items() if count}
