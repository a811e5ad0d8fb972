from __future__ import annotations

import pytest

GCP = {
    "cluster_name": "test",
    "max_workers": 0,
    "provider": {"type": "gcp", "region": "r", "availability_zone": "z", "project_id": "p"},
    "available_node_types": {
        "head": {"resources": {"CPU": 2}, "node_config": {"machineType": "e2-standard-4"}}
    },
    "head_node_type": "head",
}
AZURE = {
    "cluster_name": "test",
    "max_workers": 0,
    "provider": {"type": "azure", "location": "l", "resource_group": "g"},
    "available_node_types": {"head": {"resources": {"CPU": 2}, "node_config": {}}},
    "head_node_type": "head",
}


def rule(cidr: str, key: str = "IpRanges", name: str = "CidrIp"):
    ports = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, key: [{name: cidr}]}
    return {"provider/security_group": {"GroupName": "own", "IpPermissions": [ports]}}


def test_groups_of_ones_own_are_trusted(broken):
    assert broken("open_ports") == []


@pytest.mark.parametrize(
    "changes", [rule("0.0.0.0/0"), rule("::/0", key="Ipv6Ranges", name="CidrIpv6")]
)
def test_a_rule_for_everyone_is_an_error(broken, changes):
    (problem,) = broken("open_ports", changes)
    assert problem.level == "error"
    assert problem.path == "provider.security_group.IpPermissions[0]"
    assert "ports 22 to 22 are open to the whole internet" in problem.message


def test_a_rule_for_a_range_is_none(broken):
    assert broken("open_ports", rule("198.51.100.7/32")) == []


def test_the_group_that_ray_makes_is_open(broken):
    group = "available_node_types/gpu/node_config/SecurityGroupIds"
    (problem,) = broken("open_ports", {group: None})
    assert problem.level == "error"
    assert problem.path == "available_node_types.gpu.node_config"
    assert "Ray makes a group that lets 0.0.0.0/0 in" in problem.message


def test_the_default_network_of_google_cloud_is_open(broken):
    (problem,) = broken("open_ports", base=GCP)
    assert problem.level == "warning"
    own = {"available_node_types/head/node_config/networkInterfaces": [{"subnetwork": "s"}]}
    assert broken("open_ports", own, base=GCP) == []


def test_the_group_that_ray_makes_in_azure_is_open(broken):
    (problem,) = broken("open_ports", base=AZURE)
    assert problem.level == "warning"
    assert broken("open_ports", {"provider/use_internal_ips": True}, base=AZURE) == []
    head = {"provider/use_internal_ips": True, "provider/use_external_head_ip": True}
    assert len(broken("open_ports", head, base=AZURE)) == 1
