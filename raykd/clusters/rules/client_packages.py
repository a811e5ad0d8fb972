"""Packages that the launcher needs on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.errors import Problem

_NEEDED = {
    "aws": ("boto3", "pip install 'raykd[cluster]'"),
    "gcp": ("googleapiclient", "pip install google-api-python-client"),
    "azure": ("azure", "those of head_setup_commands in cluster/azure.yaml"),
}


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    if cluster.provider not in _NEEDED:
        return
    package, how = _NEEDED[cluster.provider]
    if package not in cluster.client.packages:
        message = f"ray up needs the package '{package}' here, which is not installed"
        yield cluster.document.problem(("provider", "type"), message, how, "warning")


RULE = Rule(help="This machine has what the launcher needs.", check=_check)
