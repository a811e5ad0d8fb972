"""Follows the nodes of a cluster: starts slots on new nodes, writes off those of lost nodes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import ray

from raykd.clusters import nodes
from raykd.clusters.background_thread import BackgroundThread
from raykd.clusters.capacity import Cluster
from raykd.clusters.node_agents import NodeAgents
from raykd.errors import SetupError
from raykd.results.event_log import EventLog
from raykd.waiting import Waiting

POLL_S = 2.0
"""How often the list of nodes is read."""

MAX_FAILED_POLLS = 15
"""Polls in a row that may fail before the sweep ends."""

NODES_S = 12 * 3600.0
"""A sweep that has no slot at all waits so long for the first one."""

CLOSE_S = 10.0
"""A poll that is under way when the sweep ends has this long."""


class SlotAutoscaler:
    """Keeps as many slots running as are wanted and fit on the nodes.

    A slot of one rank is pinned to a node. Slots of several ranks may span nodes, so that they are
    started wherever there is room, and Ray Train restarts them when they lose a rank.

    Args:
        cluster: What there is at the start, and how many slots are wanted.
        agents: Starts and ends slots.
        coordinator: Handle of the coordinator actor.
        trainable_config: What a Tune trial needs to find the coordinator.
        log: Told of nodes and slots.
    """

    def __init__(
        self,
        cluster: Cluster,
        agents: NodeAgents,
        coordinator: Any,
        trainable_config: Mapping[str, str],
        log: EventLog,
    ) -> None:
        self.coordinator = coordinator
        self.trainable_config = trainable_config
        self._cluster = cluster
        self._agents = agents
        self._log = log
        self._nodes = {node.id: node for node in cluster.nodes}
        self._over = threading.Event()
        self.watcher: BackgroundThread | None = None
        self._waiting: Waiting | None = None
        self._waits_for_any = False

    def start(self) -> None:
        """Start the first slots, and ask for nodes where there are too few."""
        self._fill()
        self._log_cluster()
        if self._cluster.elastic:
            if self.count() < self._cluster.slots:
                self._request_nodes()
            self.watcher = BackgroundThread(self._watch, "watcher")

    def count(self) -> int:
        """Slots there are; at least one, as a trial may wait for the first."""
        return max(1, self._agents.count())

    @property
    def wanted(self) -> int:
        """Slots that the sweep is to have."""
        return self._cluster.slots

    def check(self) -> None:
        """Raise what ended the thread that follows the nodes."""
        if self.watcher is not None:
            self.watcher.check()

    def restart(self, slot: int) -> None:
        """Restart a slot that does not come back by itself."""
        self._agents.restart(slot)

    def close(self) -> None:
        """End every slot."""
        self._over.set()
        if self.watcher is not None:
            self.watcher.end(CLOSE_S)
        if self._cluster.elastic:
            nodes.request_nodes(self._cluster.shape, 0, {})
        self._agents.close()

    def _fill(self) -> dict[str, list[int]]:
        """Start the missing slots where they fit; returns their numbers by node."""
        shape, wanted = self._cluster.shape, self._cluster.slots - self._agents.count()
        started: dict[str, list[int]] = {}
        if shape.workers > 1:
            room = sum(n.ranks(shape) for n in self._nodes.values()) // shape.workers
            more = min(wanted, max(room, 1) - self._agents.count())
            if more > 0:
                started[""] = self._agents.start(more)
        else:
            for node, more in _spread_evenly(self._free(), wanted).items():
                started[node] = self._agents.start(more, node)
        for node, numbers in started.items():
            address = self._nodes[node].address if node else ""
            for slot in numbers:
                self._log.emit("slot", slot=slot, state="starting", node=address)
        return started

    def _free(self) -> dict[str, int]:
        """How many more slots fit on each node."""
        shape = self._cluster.shape
        return {
            node.id: max(0, node.ranks(shape) - len(self._agents.on(node.id)))
            for node in self._nodes.values()
        }

    def _log_cluster(self) -> None:
        """Log what the sweep runs on now."""
        known = self._nodes.values()
        self._log.emit(
            "cluster",
            nodes=len(known),
            cpus=sum(n.cpus for n in known),
            gpus=sum(n.gpus for n in known),
            slots=self._agents.count(),
            wanted=self._cluster.slots,
            where=[
                {"node": n.address, "cpus": n.cpus, "gpus": n.gpus,
                 "slots": len(self._agents.on(n.id))}
                for n in known
            ],
        )  # fmt: skip

    def _request_nodes(self) -> None:
        """Ask the cluster's autoscaler for the missing nodes, and log it."""
        shape = self._cluster.shape
        nodes.request_nodes(shape, self._cluster.slots, shape.labels)
        each = f"{shape.cpus:g} CPUs" + (f" and {shape.gpus:g} GPUs" if shape.gpus else "")
        missing = self._cluster.slots - self._agents.count()
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
        while not self._over.wait(POLL_S):
            self._look_for_missing()
            try:
                self._poll()
                missed = 0
            except (ray.exceptions.RayError, ConnectionError) as exc:
                missed += 1
                if missed == MAX_FAILED_POLLS:
                    raise SetupError(
                        f"the nodes of the cluster cannot be seen any more: {exc}",
                        hint="is its head alive? raykd sweep --resume continues",
                    ) from exc

    def _look_for_missing(self) -> None:
        """Say what nodes are waited for, again and again.

        Raises:
            SetupError: There has been no slot at all for too long.
        """
        count = self._agents.count()
        if count >= self._cluster.slots:
            self._waiting = None
            return
        if self._waiting is None or self._waits_for_any != (count == 0):
            self._waits_for_any = count == 0
            hint = (
                "ray status says what the autoscaler does; request less with search.max_concurrent"
                " or resources, or continue later with raykd sweep --resume"
            )
            what = "nodes for slots that are missing"
            limit_s = NODES_S if self._waits_for_any else None
            self._waiting = Waiting(what, hint, self._tell, limit_s)
        if not self._waiting.still():
            message = f"no node that holds a slot has come within {NODES_S / 3600:.0f} h"
            raise SetupError(message, hint="ray status says why; raykd sweep --resume continues")

    def _tell(self, message: str) -> None:
        self._log.emit("waiting", slots=self._cluster.slots - self._agents.count(), message=message)

    def _poll(self) -> None:
        labels = self._cluster.shape.labels
        now = {n.id: n for n in nodes.alive() if n.has(labels)}
        lost = [node for key, node in self._nodes.items() if key not in now]
        new = [node for key, node in now.items() if key not in self._nodes]
        if not lost and not new:
            return
        self._nodes = now
        for node in lost:
            slots = self._agents.lost(node.id)
            self._log.emit("node", node=node.address, state="lost", slots=slots)
        started = self._fill()
        for node in new:
            slots = started.get(node.id, [])
            self._log.emit("node", node=node.address, state="joined", slots=slots)
        self._log_cluster()
        if lost and self._agents.count() < self._cluster.slots:
            self._request_nodes()


def _spread_evenly(free: Mapping[str, int], wanted: int) -> dict[str, int]:
    """Distribute `wanted` slots over nodes with room, always to the one that got fewest."""
    left, slots = dict(free), dict.fromkeys(free, 0)
    for _ in range(max(0, min(wanted, sum(left.values())))):
        node = min((n for n in left if left[n]), key=lambda n: (slots[n], -left[n]))
        left[node] -= 1
        slots[node] += 1
    return {node: count for node, count in slots.items() if count}
