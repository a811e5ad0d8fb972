"""A cluster that was given by its address, as the driver sees it: is its head still there?"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import ray

from raykd.clusters.watched import WatchedCluster, used
from raykd.errors import ClusterLost

LOOK_S = 0.3
"""How often a connection is tried."""

HEAD_S = 30.0
"""A head that accepts no connection for so long is lost; Ray ends the whole process after 45 s."""

NODE_S = 0.0
"""The same of the node that the driver is on, without which Ray ends the process very soon."""


class GivenCluster(WatchedCluster):
    """Watches the cluster that Ray is connected to, until `leave`."""

    def __init__(self) -> None:
        super().__init__()
        context = ray.get_runtime_context()
        self._head: str = context.gcs_address
        own = context.get_node_id()
        node = next((n for n in _nodes() if n["NodeID"] == own), None)
        self._watched = [(f"its head at {self._head}", self._head, HEAD_S)]
        if node is not None:
            address = f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}"
            self._watched.append(("the raylet of this machine", address, NODE_S))
        self._left = threading.Event()
        used.append(self)
        threading.Thread(target=self._watch, daemon=True).start()

    def error(self) -> ClusterLost:
        """What to raise where it is lost."""
        return ClusterLost(
            f"the Ray cluster at {self._head} is lost: {self.lost} accepts no connection",
            hint=f"see what runs with: ray status --address {self._head}; "
            "raykd sweep --resume continues, on this cluster or on another one",
        )

    def leave(self) -> None:
        """Watch it no longer."""
        self._left.set()
        self.interrupts = False
        if self in used:
            used.remove(self)

    def _watch(self) -> None:
        since: dict[str, float] = {}
        while not self._left.wait(LOOK_S):
            for what, address, patience_s in self._watched:
                now = time.monotonic()
                if _accepts(address):
                    since.pop(what, None)
                elif now - since.setdefault(what, now) >= patience_s:
                    self.lose(what)
                    return


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes


def _accepts(address: str) -> bool:
    """Whether somebody listens there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=LOOK_S).close()
    except OSError:
        return False
    return True
