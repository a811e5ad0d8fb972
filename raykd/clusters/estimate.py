"""How many trials a cluster can run at once, and what an hour of it costs."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.clusters.base import ClusterFile, NodeType
from raykd.clusters.document import mapping, mappings

PRICES = ("metadata", "price_per_hour")
"""Where the price of a machine of each type stands, in dollars. Ray leaves ``metadata`` alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeCost:
    """One node type.

    Attributes:
        name: Its name.
        machine: What the provider calls it; empty if that is not known.
        is_spot: Whether the provider may take it back.
        least: How many run at all times.
        most: How many may run.
        slots: Slots on one of them; None where the file does not say.
        price: Dollars an hour for one; None where the file does not say.
    """

    name: str
    machine: str
    is_spot: bool
    least: int
    most: int
    slots: int | None
    price: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a cluster holds when all of it runs.

    Attributes:
        unit: What one slot is: ``GPU``, or ``CPU`` where there are none.
        rows: The node types, the head's first.
        slots: At most so many at once; None where a type does not say.
        idle: Dollars an hour without work; None where a price is missing.
        full: Dollars an hour with all workers; None where a price is missing.
    """

    unit: str
    rows: tuple[NodeCost, ...]
    slots: int | None
    idle: float | None
    full: float | None


def estimate(cluster: ClusterFile) -> Estimate:
    """Slots and prices of a cluster file.

    A slot is taken as one GPU, or one CPU where no machine has a GPU, which is what a search space
    gets that says nothing else under ``resources``.
    """
    types = cluster.node_types()
    unit = "GPU" if any(node.gpus for node in types) else "CPU"
    rows = []
    for node in types:
        if node.is_head:
            rows.append(_row(cluster, node, unit, least=1, most=1))
        if node.max_workers or not node.is_head:
            most = min(node.max_workers, cluster.max_workers)
            rows.append(_row(cluster, node, unit, least=node.min_workers, most=most))
    return total(unit, tuple(rows), cluster.max_workers)


def price(cluster: ClusterFile, name: str) -> float | None:
    """Dollars an hour for a machine of a type, where the file states a price."""
    given = cluster.document.get(*PRICES, name)
    # YAML's true and false are numbers to Python.
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return float(given) if is_number else None


def total(unit: str, rows: tuple[NodeCost, ...], max_workers: int) -> Estimate:
    """The sums over node types, when at most `max_workers` run besides the head."""
    slots = [row.slots for row in rows]
    prices = [row.price for row in rows]
    idle = full = None
    if None not in prices:
        idle = sum((row.price or 0.0) * row.least for row in rows)
        full = _most([(row.price or 0.0, row) for row in rows], max_workers)
    return Estimate(
        unit=unit,
        rows=rows,
        slots=None if None in slots else int(_most([(r.slots or 0, r) for r in rows], max_workers)),
        idle=idle,
        full=full,
    )


def _most(each: list[tuple[float, NodeCost]], max_workers: int) -> float:
    """The largest sum with the head and at most so many workers, which the first row is not of."""
    value, room = each[0][0], max_workers
    for amount, row in sorted(each[1:], key=lambda pair: -pair[0]):
        taken = min(row.most, room)
        value, room = value + amount * taken, room - taken
    return value


def _row(cluster: ClusterFile, node: NodeType, unit: str, *, least: int, most: int) -> NodeCost:
    return NodeCost(
        name=node.name,
        machine=machine(node),
        is_spot=is_spot(node),
        least=least,
        most=most,
        slots=int(node.resources.get(unit, 0)) if node.resources else None,
        price=price(cluster, node.name),
    )


def machine(node: NodeType) -> str:
    """The provider's name of the machine; empty where it has none."""
    arm = mapping(node.node_config.get("azure_arm_parameters"))
    machine_type = (
        node.node_config.get("InstanceType")
        or node.node_config.get("machineType")
        or arm.get("vmSize")
    )
    return str(machine_type or "")


def is_spot(node: NodeType) -> bool:
    """Whether it is the cheap kind that the provider may take back."""
    config = node.node_config
    scheduling = config.get("scheduling")
    # Ray's defaults for Google Cloud write it as a list.
    parts = [mapping(scheduling), *(part for _, part in mappings(scheduling))]
    arm = mapping(config.get("azure_arm_parameters"))
    return (
        mapping(config.get("InstanceMarketOptions")).get("MarketType") == "spot"
        or any(p.get("preemptible") or p.get("provisioningModel") == "SPOT" for p in parts)
        or str(arm.get("priority", "")).lower() == "spot"
    )
