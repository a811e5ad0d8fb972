"""Python on the machines that is not the one here."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.clusters.versions import python_versions
from raykd.errors import Problem


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    for place, version in python_versions(cluster):
        if version != cluster.client.python:
            message = f"the machines get Python {version}, this one has {cluster.client.python}"
            hint = "jobs that are submitted work; a driver here (ray://...) would be refused"
            yield cluster.document.problem(place, message, hint, "warning")


RULE = Rule(help="Python has the same version everywhere.", check=_check)
