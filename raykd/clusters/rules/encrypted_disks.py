"""Disks on which data and models are in the clear; other providers than AWS encrypt all of them."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.clusters.document import mapping, mappings
from raykd.errors import Problem


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    if cluster.provider != "aws":
        return
    for node in cluster.node_types():
        config = node.node_config
        place = (*node.place, "node_config")
        hint = "BlockDeviceMappings: [{DeviceName: /dev/sda1, Ebs: {Encrypted: true}}]"
        disks = config.get("BlockDeviceMappings")
        if not disks and "LaunchTemplate" not in config:
            message = f"the disk of '{node.name}' is as the image says, which may be not encrypted"
            yield cluster.document.problem(place, message, hint, "warning")
        for k, disk in mappings(disks):
            if "Ebs" in disk and not mapping(disk["Ebs"]).get("Encrypted"):
                message = f"disk {disk.get('DeviceName', k)} of '{node.name}' is not encrypted"
                where = (*place, "BlockDeviceMappings", k)
                yield cluster.document.problem(where, message, "Ebs: {Encrypted: true}")


RULE = Rule(help="Disks are encrypted.", check=_check)
