"""Checks that some node can hold a trial, before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raykd.errors import Problem
from raykd.params import show
from raykd.spec.schema_stages import ResourceSpec

YamlNode = Mapping[str, float]


def check_resources(resources: ResourceSpec, nodes: Sequence[YamlNode]) -> Problem | None:
    """Say why no trial could ever start, or None when one can.

    The workers of a trial may stand on several nodes; a worker stands on one.

    Args:
        resources: What a trial requests; ``gpus_per_worker: auto`` requests none.
        nodes: ``cpus`` and ``gpus`` of every node.

    Returns:
        The first shortage (GPUs before CPUs); `raykd.spec.load.placed` gives it its place.
    """
    gpus = 0.0 if resources.gpus_per_worker == "auto" else float(resources.gpus_per_worker)
    cpus = float(resources.cpus_per_worker)
    for path, unit, each in (
        ("resources.gpus_per_worker", "gpus", gpus),
        ("resources.cpus_per_worker", "cpus", cpus),
    ):
        problem = _shortage(resources.workers, each, unit, path, nodes)
        if problem is not None:
            return problem
    return _joint_shortage(resources.workers, cpus, gpus, nodes)


def _shortage(
    workers: int, each: float, unit: str, path: str, nodes: Sequence[YamlNode]
) -> Problem | None:
    largest = max((node[unit] for node in nodes), default=0.0)
    if each <= largest:
        return None
    key = path.rpartition(".")[2]
    spread = ", or raise workers to spread a trial over nodes" if largest > 0 else ""
    return Problem(
        path=path,
        message=f"a trial requests {_times(workers, each, unit)}, "
        f"the largest node has {show(largest)}",
        hint=f"lower {key}{spread}" if largest > 0 else f"set {key}: 0, or add a node with GPUs",
    )


def _joint_shortage(
    workers: int, cpus: float, gpus: float, nodes: Sequence[YamlNode]
) -> Problem | None:
    """Each amount fits on some node, but all workers with both amounts do not fit together."""
    room = sum(_workers_on(node, cpus, gpus) for node in nodes)
    if room >= workers:
        return None
    both = f"{show(cpus)} CPUs" + (f" and {show(gpus)} GPUs" if gpus else "")
    held = ", ".join(f"{show(n['cpus'])} CPUs and {show(n['gpus'])} GPUs" for n in nodes)
    words = "worker" if workers == 1 else "workers"
    return Problem(
        path="resources.workers",
        message=f"a trial requests {workers} {words} x ({both}), "
        f"the cluster has room for {room} (nodes: {held})",
        hint="lower workers, cpus_per_worker or gpus_per_worker, or add nodes",
    )


def _workers_on(node: YamlNode, cpus: float, gpus: float) -> int:
    # The small term keeps 1 / 0.1 at 10 workers in spite of rounding.
    fits = int(node["cpus"] / cpus + 1e-9)
    return min(fits, int(node["gpus"] / gpus + 1e-9)) if gpus else fits


def _times(workers: int, each: float, unit: str) -> str:
    noun = {"gpus": "GPU", "cpus": "CPU"}[unit] + ("" if each == 1 else "s")
    return f"{workers} {'worker' if workers == 1 else 'workers'} x {show(each)} {noun}"
