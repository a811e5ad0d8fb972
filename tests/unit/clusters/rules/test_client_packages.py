from __future__ import annotations

import dataclasses

from raykd import registry


def check(cluster, packages):
    client = dataclasses.replace(cluster.client, packages=frozenset(packages))
    rule = registry.load("cluster_rules", "client_packages")
    return list(rule.check(dataclasses.replace(cluster, client=client)))


def test_a_machine_that_has_it_is_fine(described):
    assert check(described(), {"boto3"}) == []


def test_a_machine_without_it_is_a_warning(described):
    (problem,) = check(described(), ())
    assert (problem.level, problem.path) == ("warning", "provider.type")
    assert problem.message == "ray up needs the package 'boto3' here, which is not installed"
    assert problem.hint == "pip install 'raykd[cluster]'"


def test_own_machines_need_nothing(described):
    local = {
        "cluster_name": "t",
        "provider": {"type": "local", "head_ip": "a", "worker_ips": []},
    }
    assert check(described(base=local), ()) == []
