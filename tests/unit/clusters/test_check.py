from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from raykd import registry
from raykd.clusters.check import check, rules
from raykd.errors import SpecError
from tests.unit.clusters.faultless import AWS
from tests.unit.clusters.test_kuberay import CLUSTER


@pytest.fixture
def checked(tmp_path, client):
    def make(config: dict[str, Any], *more: dict[str, Any]):
        file = tmp_path / "c.yaml"
        file.write_text(yaml.safe_dump_all([config, *more], sort_keys=False))
        return check(str(file), client)

    return make


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield (*above, key)
        if isinstance(child, dict | list):
            yield from places(child, (*above, key))


def spec_of(kind: str, **provider: str) -> dict[str, Any]:
    """A small file for another cloud."""
    config = {"disks": [{"initializeParams": {"sourceImage": "i"}}], "scheduling": {},
              "networkInterfaces": [{}], "azure_arm_parameters": {"priority": "Spot"}}  # fmt: skip
    node = {"resources": {"CPU": 2, "GPU": 1}, "max_workers": 1, "node_config": config}
    return {"cluster_name": "c", "max_workers": 1, "provider": {"type": kind} | provider,
            "available_node_types": {"head": node}, "head_node_type": "head"}  # fmt: skip


GCP = spec_of("gcp", region="r", availability_zone="z", project_id="p")
AZURE = spec_of("azure", location="l", resource_group="g")
FURTHER = [("docker",), ("provider", "security_group"),
           ("provider", "security_group", "IpPermissions")]  # fmt: skip
CASES = [
    *((AWS, place) for place in [*places(AWS), *FURTHER]),
    *((GCP, place) for place in places(GCP) if "node_config" in place),
    *((AZURE, place) for place in places(AZURE) if "node_config" in place),
    *((CLUSTER, place) for place in places(CLUSTER)),
]


def test_a_file_without_a_fault(checked):
    actual = checked(AWS)
    assert (actual.provider, actual.max_workers, actual.problems) == ("aws", 3, ())
    assert actual.estimate.slots == 6


def test_every_rule_is_asked():
    assert len(rules()) == len(registry.names("cluster_rules")) > 10
    assert all(rule.help.endswith(".") for rule in rules())


def test_problems_are_in_the_order_of_the_file(checked):
    types = copy.deepcopy(AWS["available_node_types"])
    del types["gpu"]["node_config"]["InstanceMarketOptions"]
    actual = checked(AWS | {"idle_timeout_minutes": 90, "available_node_types": types,
                           "file_mounts": {}})  # fmt: skip
    assert [p.line for p in actual.problems] == sorted(p.line for p in actual.problems)
    assert [p.path for p in actual.errors] == ["file_mounts"]
    assert [p.path for p in actual.warnings] == [
        "idle_timeout_minutes",
        "available_node_types.gpu.node_config",
    ]


def test_two_files_in_one(checked):
    with pytest.raises(SpecError, match="it holds 2 documents"):
        checked(AWS, AWS)


@pytest.mark.parametrize(("base", "place"), CASES)
def test_odd_values_are_reported_and_never_a_crash(checked, base, place):
    """Ray does not look into `node_config` and a few others: the rules must bear anything there."""
    for odd in (None, 7, ["a"], {"a": None}, [{"Ebs": None}]):
        config = copy.deepcopy(base)
        section: Any = config
        for key in place[:-1]:
            section = section.setdefault(key, {}) if isinstance(section, dict) else section[key]
        section[place[-1]] = odd
        with contextlib.suppress(SpecError):
            checked(config)
