"""Ray on the machines that is not the one here."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.clusters.versions import ray_versions
from raykd.errors import Problem


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    for place, version in ray_versions(cluster):
        if version != cluster.client.ray:
            message = f"the machines get Ray {version}, this one has {cluster.client.ray}; "
            message += "ray up and ray job submit need the same version on both sides"
            hint = f"change it here, or: pip install 'ray[default]=={version}'"
            yield cluster.document.problem(place, message, hint)


RULE = Rule(help="Ray has the same version everywhere.", check=_check)
