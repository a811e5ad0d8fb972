"""What an agent leaves on its node."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from raykd.clusters.node_agents import _NodeAgent
from raykd.own_folder import delete_own_folders
from raykd.trial import slot_pool
from raykd.trial.slot_pool import SlotPool, SlotShape


def test_an_agent_that_closes_leaves_nothing_on_its_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete_own_folders()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(slot_pool, "answer", lambda request, limit_s: request)
    coordinator = SimpleNamespace(close=SimpleNamespace(remote=lambda: None))
    shape = SlotShape(workers=1, cpus=1.0, gpus=0.0)
    agent = _NodeAgent(
        lambda storage: SlotPool(coordinator, "coordinator", "raykd", shape, None, storage)
    )
    assert list(tmp_path.iterdir())
    agent.close()
    assert not list(tmp_path.iterdir())
