"""Sweeps on clusters of several nodes: each node is a raylet of its own on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.cluster_utils import Cluster

ARMS, TRIALS, CONFIRM = 2, 4, 2
BEFORE = 3
"""Trials that end before a node is lost."""
STORE = 200 * 2**20
QUICK = {"health_check_period_ms": 1000, "health_check_timeout_ms": 2000,
         "health_check_failure_threshold": 2}  # fmt: skip
"""A node that is silent for some seconds counts as lost."""


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": STORE, "_system_config": QUICK},
    )
    try:
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
        yield cluster
    finally:
        cluster.shutdown()


def sweep(
    cluster: Cluster,
    folder: Path,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    gpus: str = "",
    **changes: Any,
) -> list[dict[str, Any]]:
    """Every event of a sweep, handed over as it comes; `gpus` as `cluster_sweep` takes it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.cluster_sweep", cluster.address, str(folder),
         json.dumps(changes), gpus],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"},
    )  # fmt: skip
    found = []
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            found.append(json.loads(line))
            on_event(found[-1])
    assert process.wait() == 0
    return found


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def check_complete(events: list[dict[str, Any]]) -> None:
    """Every plan trial is there once, and has completed."""
    (result,) = of(events, "result")
    assert len({name for name, _, _ in result["trials"]}) == len(result["trials"])
    assert len(result["trials"]) == ARMS * (TRIALS + CONFIRM)
    assert {status for _, status, _ in result["trials"]} == {"completed"}


def test_nodes_that_come_and_go(two_nodes, tmp_path):
    """Slots on every node, the teacher once on each, a node lost and one that joins."""
    state = {"ended": 0, "lost": False}
    (worker,) = two_nodes.worker_nodes

    def disturb(event: dict[str, Any]) -> None:
        if event["event"] == "created":
            state["ended"] += 1
            if state["ended"] == BEFORE:
                two_nodes.remove_node(worker, allow_graceful=False)
        if event["event"] == "node" and event["state"] == "lost":
            two_nodes.add_node(num_cpus=1, object_store_memory=STORE)

    train = {"fixed": {"epochs": 60, "batch_size": 32, "precision": "fp32"}}
    events = sweep(two_nodes, tmp_path, disturb, train=train)
    check_complete(events)
    first, second = of(events, "cluster")[:2]
    assert [place["slots"] for place in first["where"]] == [1, 1]
    check_pulled_once(events)
    check_students(events, tmp_path)
    lost, joined = (next(e for e in of(events, "node") if e["state"] == s)
                    for s in ("lost", "joined"))  # fmt: skip
    assert [place["slots"] for place in second["where"]] == [1]
    (gone,), (new,) = lost["slots"], joined["slots"]
    assert gone != new
    by_slot = [e["result"]["slot"] for e in of(events, "trial_finished")]
    assert gone in by_slot[: BEFORE + 1]
    assert new in by_slot
    assert gone not in by_slot[by_slot.index(new) :]


def check_pulled_once(events: list[dict[str, Any]]) -> None:
    """Trials read what their node has: its store does not grow with them."""
    stored = of(events, "teacher_ready")[0]["teacher"]["store_bytes"]
    sizes = [e["bytes"] for e in of(events, "created")[:BEFORE]]
    for node, size in sizes[-1].items():
        assert size >= stored
        assert size - sizes[0][node] < 2 * stored  # a slot that begins late pulls it once


def check_students(events: list[dict[str, Any]], folder: Path) -> None:
    """Students that were saved came to the driver, wherever they were trained."""
    (result,) = of(events, "result")
    kept = [place for _, _, place in result["trials"] if place]
    assert len(kept) == ARMS
    for place in kept:
        saved = folder / result["run"] / place
        assert {"config.json", "model.safetensors"} <= {p.name for p in saved.iterdir()}


@pytest.mark.slow
def test_the_ranks_of_a_trial_stand_on_several_nodes(two_nodes, tmp_path):
    events = sweep(
        two_nodes, tmp_path, resources={"workers": 2, "gpus_per_worker": 0},
        confirm={"seeds": [1, 2]},
    )  # fmt: skip
    check_complete(events)
    (cluster,) = of(events, "cluster")
    assert cluster["slots"] == 1


@pytest.mark.slow
def test_labels_choose_nodes(two_nodes, tmp_path):
    two_nodes.add_node(num_cpus=2, object_store_memory=STORE, labels={"kind": "fast"})
    events = sweep(two_nodes, tmp_path, resources={"labels": {"kind": "fast"}})
    check_complete(events)
    (cluster,) = of(events, "cluster")
    assert [place["slots"] for place in cluster["where"]] == [2]


@pytest.fixture
def one_gpu() -> Iterator[Cluster]:
    """A node that says it has a GPU."""
    node = {"num_cpus": 2, "num_gpus": 1, "object_store_memory": STORE}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        yield cluster
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_two_trials_share_a_gpu(one_gpu, tmp_path):
    events = sweep(one_gpu, tmp_path, gpus="played", resources={"gpus_per_worker": 0.5})
    check_complete(events)
    (cluster,) = of(events, "cluster")
    assert (cluster["gpus"], cluster["slots"]) == (1.0, 2)
    assert {e["result"]["slot"] for e in of(events, "trial_finished")} == {0, 1}


@pytest.mark.slow
def test_a_trial_with_a_whole_gpu_is_alone_on_it(one_gpu, tmp_path):
    events = sweep(one_gpu, tmp_path, gpus="played")  # gpus_per_worker: auto
    check_complete(events)
    (cluster,) = of(events, "cluster")
    assert (cluster["gpus"], cluster["slots"]) == (1.0, 1)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has GPUs that can be used")
def test_gpus_that_torch_cannot_use_are_named(one_gpu, tmp_path):
    (refused,) = of(sweep(one_gpu, tmp_path, gpus="shown"), "refused")
    assert "but torch" in refused["message"]
    assert "gpus_per_worker: 0" in refused["hint"]
