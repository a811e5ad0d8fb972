"""GPU workers at the full price."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.clusters.estimate import is_spot
from raykd.errors import Problem

_SPOT = {
    "aws": "InstanceMarketOptions: {MarketType: spot}",
    "gcp": "scheduling: {provisioningModel: SPOT}",
    "azure": "azure_arm_parameters: {priority: Spot}",
}


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    if cluster.provider not in _SPOT:
        return
    for node in cluster.node_types():
        if node.max_workers and node.gpus and not is_spot(node):
            message = f"GPU workers of type '{node.name}' are on demand; spot machines cost a third"
            message += " to a half, and raykd continues when one is taken away"
            hint = f"in node_config: {_SPOT[cluster.provider]}"
            yield cluster.document.problem((*node.place, "node_config"), message, hint, "warning")


RULE = Rule(help="GPU workers are spot machines.", check=_check)
