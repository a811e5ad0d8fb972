"""Nodes of the connected cluster, and those that its autoscaler could add."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray

from raykd.errors import SetupError
from raykd.ray_private import HEAD
from raykd.trial.slot_pool import SlotShape

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""Where ``ray up`` leaves the cluster file on the head."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node.

    Attributes:
        id: Ray's name of it; empty for one that is not there yet.
        address: Where it is.
        cpus: Its CPUs.
        gpus: Its GPUs.
        store_bytes: Capacity of its object store.
        labels: Labels it was started with.
    """

    id: str = ""
    address: str = ""
    cpus: float
    gpus: float
    store_bytes: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    def ranks(self, shape: SlotShape) -> int:
        """Ranks of slots that fit on it."""
        by_gpu = math.floor(self.gpus / shape.gpus + 1e-9) if shape.gpus else math.inf
        return int(min(by_gpu, math.floor(self.cpus / shape.cpus + 1e-9)))

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether it has all of these labels."""
        return all(self.labels.get(name) == value for name, value in labels.items())


def alive() -> tuple[Node, ...]:
    """The nodes of the cluster, that of the head first."""
    everything = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [
        Node(
            id=n["NodeID"],
            address=n["NodeManagerAddress"],
            cpus=n["Resources"].get("CPU", 0.0),
            gpus=n["Resources"].get("GPU", 0.0),
            store_bytes=int(n["Resources"].get("object_store_memory", 0.0)),
            labels=dict(n.get("Labels") or {}),
        )
        for n in everything
        if n["Alive"]
    ]
    heads = {n["NodeID"] for n in everything if HEAD in n["Resources"]}
    return tuple(sorted(nodes, key=lambda n: (n.id not in heads, n.address, n.id)))


def addable(config: Path = BOOTSTRAP) -> tuple[Node, ...]:
    """Nodes that the autoscaler could add, from the cluster file that ``ray up`` left on the head.

    Ray's own state does not tell: it knows which nodes are requested, not which there could be.

    Raises:
        SetupError: The file cannot be read.
    """
    import yaml

    path = Path(os.path.expanduser(config))
    if not path.is_file():
        return ()
    try:
        return tuple(_of_types(yaml.safe_load(path.read_text(encoding="utf-8"))))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as exc:
        raise SetupError(
            f"cannot read the cluster file {path}: {type(exc).__name__}: {exc}",
            hint="say how many trials run at the same time: search.max_concurrent: N",
        ) from exc


def _of_types(config: Mapping[str, Any]) -> Sequence[Node]:
    nodes: list[Node] = []
    most = int(config.get("max_workers") or 0)
    for name, kind in (config.get("available_node_types") or {}).items():
        if name == config.get("head_node_type"):
            continue
        resources = kind.get("resources") or {}
        node = Node(
            cpus=float(resources.get("CPU", 0)),
            gpus=float(resources.get("GPU", 0)),
            labels=dict(kind.get("labels") or {}),
        )
        nodes += [node] * min(int(kind.get("max_workers") or 0), most)
    # All types together are bounded, too; the best ones count.
    return sorted(nodes, key=lambda n: (-n.gpus, -n.cpus))[:most]


def request_nodes(shape: SlotShape, count: int, labels: Mapping[str, str]) -> None:
    """Ask the autoscaler for nodes that hold so many slots; 0 takes the request back."""
    from ray.autoscaler.sdk import request_resources

    each = {"CPU": shape.cpus} | ({"GPU": shape.gpus} if shape.gpus else {})
    bundles = [each] * (count * shape.workers)
    request_resources(
        bundles=bundles, bundle_label_selectors=[dict(labels)] * len(bundles) if labels else None
    )
