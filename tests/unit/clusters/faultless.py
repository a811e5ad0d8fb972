"""A cluster file without a fault, to be broken in one place, and a machine that it fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raykd.clusters.base import LAUNCHER_PACKAGES, Client

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


def machine(folder: Path) -> Client:
    """A machine whose home is below `folder`, with a token."""
    token = folder / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("secret")
    return Client(
        python="3.11", ray=RAY, home=folder / "home", folder=folder,
        packages=frozenset(LAUNCHER_PACKAGES),
    )  # fmt: skip
