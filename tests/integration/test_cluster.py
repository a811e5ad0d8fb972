"""Sweeps on clusters of several nodes: each node is a raylet of its own on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray.cluster_utils import Cluster

from raykd.results.store import load_results
from raykd.sweep.run import SweepOptions, run_sweep
from tests.integration.cluster_sweep import space
from tests.integration.conftest import CPUS
from tests.object_store import created

ARMS, TRIALS, CONFIRM = 2, 4, 2
BEFORE = 3
"""Trials that end before a node is lost."""
PATIENCE_S = 120.0
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
    actual = []
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            actual.append(json.loads(line))
            on_event(actual[-1])
    assert process.wait() == 0
    return actual


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == kind]


def check_complete(events: list[dict[str, Any]]) -> None:
    """Every plan trial is there once, and has completed."""
    (result,) = of(events, "result")
    assert len({name for name, _, _ in result["trials"]}) == len(result["trials"])
    assert len(result["trials"]) == ARMS * (TRIALS + CONFIRM)
    assert {status for _, status, _ in result["trials"]} == {"completed"}


class MoreNodes:
    """Nodes besides that of the shared cluster: each is a raylet of its own on this machine."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def add(self) -> Node:
        params = RayParams(
            gcs_address=ray.get_runtime_context().gcs_address, num_cpus=CPUS, num_gpus=0,
            object_store_memory=STORE, min_worker_port=0, max_worker_port=0, node_manager_port=0,
            include_log_monitor=False,
        )  # fmt: skip
        params.dashboard_agent_listen_port = None  # not that of the first node
        node = Node(params, head=False, shutdown_at_exit=False, spawn_reaper=False)
        self.nodes.append(node)
        return node

    def lose(self, node: Node) -> None:
        self.nodes.remove(node)
        node.destroy_external_storage()
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


@pytest.fixture
def more_nodes(cluster: None) -> Iterator[MoreNodes]:
    made = MoreNodes()
    try:
        yield made
    finally:
        for node in list(made.nodes):
            made.lose(node)
        wait_for(lambda: alive() == 1)


def alive() -> int:
    return sum(node["Alive"] for node in ray.nodes())


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_node_that_joins_and_is_lost(more_nodes: MoreNodes, tmp_path: Path) -> None:
    """It gets a slot and the teacher once; without it the sweep continues."""
    events: list[dict[str, Any]] = []
    gate = tmp_path / "closed"
    gate.touch()
    stored = created()

    def listen(event: Mapping[str, Any]) -> None:
        events.append(dict(event))
        if event["event"] == "trial_finished":
            now = {node: size - stored.get(node, 0) for node, size in created().items()}
            events.append({"event": "created", "bytes": now})

    def ready() -> set[int]:
        return {e["slot"] for e in of(events, "slot") if e["state"] == "ready"}

    def worked() -> set[int]:
        return {e["result"]["slot"] for e in of(events, "trial_finished")}

    def disturb() -> None:
        """Trials wait while there are too few slots, so that every slot gets some."""
        wait_for(lambda: of(events, "cluster"))
        worker = more_nodes.add()
        wait_for(lambda: len(ready()) == 2)
        gate.unlink()
        wait_for(lambda: len(of(events, "created")) >= BEFORE and len(worked()) == 2)
        gate.touch()
        more_nodes.lose(worker)
        wait_for(lambda: [e for e in of(events, "node") if e["state"] == "lost"])
        gate.unlink()

    gated = {"name": "gated", "method": "tests.integration.gated_method",
             "fixed": {"gate": str(gate)}}  # fmt: skip
    changes = {
        "methods": {"none": {"name": "none", "method": "none"}, "gated": gated},
        "resources": {"cpus_per_worker": CPUS - 0.1},
        "search": {"trials": TRIALS, "algorithm": {"name": "random"}, "max_concurrent": 2},
    }
    address = ray.get_runtime_context().gcs_address
    options = SweepOptions(out=tmp_path, address=address, cache=tmp_path / "cache")
    with ThreadPoolExecutor(1) as operator:
        disturbed = operator.submit(disturb)
        result = load_results(run_sweep(space(tmp_path, changes), "", options, listen))
        disturbed.result()
    done = [(t.trial_id, t.status, t.checkpoint) for t in result.trials]
    events.append({"event": "result", "trials": done, "run": result.run})
    check_complete(events)
    slots = [[place["slots"] for place in e["where"]] for e in of(events, "cluster")]
    assert slots == [[1], [1, 1], [1]]
    check_pulled_once(events, until_slots=2)
    check_students(events, tmp_path)
    joined, lost = of(events, "node")
    assert (joined["state"], lost["state"]) == ("joined", "lost")
    assert lost["slots"] == joined["slots"]
    (gone,) = lost["slots"]
    at = next(k for k, e in enumerate(events) if e is lost)
    assert gone in {e["result"]["slot"] for e in of(events[:at], "trial_finished")}
    assert gone not in {e["result"]["slot"] for e in of(events[at:], "trial_finished")}


@pytest.mark.slow
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


def check_pulled_once(events: list[dict[str, Any]], until_slots: int = 0) -> None:
    """Trials read what their node has: its store does not grow with them.

    It is looked at when `BEFORE` trials have ended, and so many slots have ended one.
    """
    stored = of(events, "teacher_ready")[0]["teacher"]["store_bytes"]
    sizes, worked = [], set()
    for event in events:
        if event["event"] == "trial_finished":
            worked.add(event["result"]["slot"])
        elif event["event"] == "created":
            sizes.append(event["bytes"])
            if len(sizes) >= BEFORE and len(worked) >= until_slots:
                break
    for node, size in sizes[-1].items():
        assert size >= stored
        assert size - sizes[0].get(node, 0) < 2 * stored  # a slot that begins late pulls it once


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
