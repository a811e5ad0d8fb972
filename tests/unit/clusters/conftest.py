"""The faultless cluster file, broken in one place, and what a rule says to it."""

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
from tests.unit.clusters.faultless import AWS, machine


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return machine(tmp_path)


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
