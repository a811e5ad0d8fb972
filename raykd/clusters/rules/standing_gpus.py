"""GPU workers that run at all times."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.errors import Problem


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    for node in cluster.node_types():
        if node.min_workers and node.gpus:
            message = f"{node.min_workers} GPU workers of type '{node.name}' run at all times, "
            message += "whether there is work or not"
            hint = "min_workers: 0 starts them when trials wait"
            yield cluster.document.problem((*node.place, "min_workers"), message, hint, "warning")


RULE = Rule(help="No GPU worker runs without work.", check=_check)
