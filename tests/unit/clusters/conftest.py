"""A cluster file without a fault, to be broken in one place, and a machine that it fits."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from raykd import registry
from raykd.clusters import launcher
from raykd.clusters.base import Client, ClusterFile
from raykd.clusters.document import read_documents
from raykd.errors import Problem

RAY = "2.60.0"

AWS: dict[str, Any] = {
    "cluster_name": "test",
    "metadata": {"price_per_hour": {"head": 0.1, "gpu": 0.5}},
    "max_workers": 3,
    "idle_timeout_minutes": 10,
    "provider": {"type": "aws", "region": "us-west-2"},
    "available_node_types": {
        "head": {
            "resources": {"CPU": 2},
            "max_workers": 0,
            "node_config": {
                "InstanceType": "m6i.large",
                "ImageId": "ami-1",
                "SecurityGroupIds": ["sg-1"],
                "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True}}],
            },
        },
        "gpu": {
            "resources": {"CPU": 8, "GPU": 2},
            "max_workers": 3,
            "node_config": {
                "InstanceType": "g5.xlarge",
                "ImageId": "ami-1",
                "SecurityGroupIds": ["sg-1"],
                "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True}}],
                "InstanceMarketOptions": {"MarketType": "spot"},
            },
        },
    },
    "head_node_type": "head",
    "file_mounts": {"~/.ray/auth_token": "~/.ray/auth_token"},
    "setup_commands": [f'pip install "ray[default]=={RAY}" raykd==0.1.0'],
    "head_setup_commands": [],
    "worker_setup_commands": [],
    "head_start_ray_commands": ["ray stop", "export RAY_AUTH_MODE=token; ray start --head"],
    "worker_start_ray_commands": [
        "ray stop",
        "export RAY_AUTH_MODE=token; ray start --address=$RAY_HEAD_IP:6379",
    ],
}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    token = tmp_path / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("secret")
    return Client(python="3.11", ray=RAY, home=tmp_path / "home", folder=tmp_path)


@pytest.fixture
def described(tmp_path, client):
    """Makes a cluster file from the faultless one: ``described({"provider/region": "x"})``.

    A value of None takes the key away.
    """

    def make(changes: dict[str, Any] | None = None, base: dict[str, Any] = AWS) -> ClusterFile:
        config = copy.deepcopy(base)
        for path, value in (changes or {}).items():
            *above, key = path.split("/")
            section = config
            for each in above:
                section = section.setdefault(each, {})
            if value is None:
                section.pop(key, None)
            else:
                section[key] = value
        file = tmp_path / "cluster.yaml"
        file.write_text(yaml.safe_dump(config, sort_keys=False))
        (document,) = read_documents(str(file))
        return ClusterFile(document=document, config=launcher.load(document), client=client)

    return make


@pytest.fixture
def broken(described):
    """What one rule says: ``broken("open_ports", {...})``."""

    def check(
        rule: str, changes: dict[str, Any] | None = None, base: dict[str, Any] = AWS
    ) -> list[Problem]:
        return list(registry.load("cluster_rules", rule).check(described(changes, base)))

    return check
