"""Machines that the whole internet may talk to."""

from __future__ import annotations

from collections.abc import Iterator

from raykd.clusters.base import ClusterFile, Rule
from raykd.clusters.document import Place, mappings
from raykd.errors import Problem

_EVERYONE = ("0.0.0.0/0", "::/0")
_OWN_GROUP = ("SecurityGroupIds", "NetworkInterfaces", "LaunchTemplate")


def _check(cluster: ClusterFile) -> Iterator[Problem]:
    yield from _stated(cluster)
    by_default = {"aws": _aws, "gcp": _gcp, "azure": _azure}.get(cluster.provider)
    if by_default is not None:
        yield from by_default(cluster)


def _stated(cluster: ClusterFile) -> Iterator[Problem]:
    """Rules written in the file."""
    rules = cluster.document.get("provider", "security_group", "IpPermissions")
    for k, rule in mappings(rules):
        place: Place = ("provider", "security_group", "IpPermissions", k)
        ranges = [r.get("CidrIp") for _, r in mappings(rule.get("IpRanges"))]
        ranges += [r.get("CidrIpv6") for _, r in mappings(rule.get("Ipv6Ranges"))]
        for everyone in [r for r in _EVERYONE if r in ranges]:
            ports = f"{rule.get('FromPort', 'all')} to {rule.get('ToPort', 'all')}"
            message = f"ports {ports} are open to the whole internet ({everyone})"
            hint = "state the range that you come from, e.g. 198.51.100.7/32"
            yield cluster.document.problem(place, message, hint)


def _aws(cluster: ClusterFile) -> Iterator[Problem]:
    for node in cluster.node_types():
        if not any(node.node_config.get(key) for key in _OWN_GROUP):
            message = "port 22 is open to the whole internet: without SecurityGroupIds, "
            message += "Ray makes a group that lets 0.0.0.0/0 in"
            hint = "deploy cluster/aws/account.yaml and give its group as SecurityGroupIds"
            yield cluster.document.problem((*node.place, "node_config"), message, hint)


def _gcp(cluster: ClusterFile) -> Iterator[Problem]:
    for node in cluster.node_types():
        if not node.node_config.get("networkInterfaces"):
            message = "without networkInterfaces, Ray takes the first network of the project; "
            message += "the default one lets the whole internet try port 22"
            hint = "make a network with a closed firewall (docs/how-to/clusters) and name it here"
            place = (*node.place, "node_config")
            yield cluster.document.problem(place, message, hint, "warning")


def _azure(cluster: ClusterFile) -> Iterator[Problem]:
    given = cluster.config["provider"]
    if not given.get("use_internal_ips") or given.get("use_external_head_ip"):
        message = "port 22 is open to the whole internet: Ray's security group for Azure "
        message += "always lets everyone in (by key only)"
        hint = "close it after `ray up` (docs/how-to/clusters), or use_internal_ips from inside"
        yield cluster.document.problem(("provider",), message, hint, "warning")


RULE = Rule(help="No port is open to the whole internet.", check=_check)
