"""Runs on the host that plays the cloud: prints every change of an instance as one line of JSON."""

import json
import time
from typing import Any

import boto3


def watch(region: str) -> None:
    """Print instances whose state is new, for ever."""
    ec2 = boto3.client("ec2", region_name=region)
    seen: dict[str, str] = {}
    while True:
        for reservation in ec2.describe_instances()["Reservations"]:
            for instance in reservation["Instances"]:
                state = instance["State"]["Name"]
                if seen.get(instance["InstanceId"]) != state:
                    seen[instance["InstanceId"]] = state
                    print(json.dumps(_told(ec2, instance)), flush=True)
        time.sleep(0.5)


def _told(ec2: Any, instance: dict[str, Any]) -> dict[str, Any]:
    name = instance["KeyName"]
    (pair,) = ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"]
    return {
        "id": instance["InstanceId"],
        "state": instance["State"]["Name"],
        "addresses": [
            instance[k] for k in ("PrivateIpAddress", "PublicIpAddress") if instance.get(k)
        ],
        "key": pair["PublicKey"],
    }


if __name__ == "__main__":
    watch("us-west-2")
