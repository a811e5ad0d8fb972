"""A dashboard that others can reach; it starts and stops jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.errors import Problem

_HOST = re.compile(r"--dashboard-host[= ]+[\"']?([^\s\"';]+)")
_OWN_MACHINE = {"127.0.0.1", "localhost", "::1"}


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    for place, command in cluster.commands("head_start_ray_commands"):
        for host in _HOST.findall(command):
            if host not in _OWN_MACHINE:
                message = f"the dashboard listens to {host}; it can start jobs on the cluster"
                if place[0] not in cluster.document.value:
                    message += " (Ray's default, the file has no head_start_ray_commands)"
                hint = "--dashboard-host=127.0.0.1; `ray dashboard FILE` reaches it over SSH"
                yield cluster.document.problem(place, message, hint)


RULE = Rule(help="The dashboard listens to the head only.", check=_check)
