from __future__ import annotations

import io

import pytest

from raykd.cli.console import Lines
from raykd.cli.progress import describe_cluster, describe_node

CLUSTER = {
    "event": "cluster", "time": 1.0, "nodes": 3, "cpus": 12.0, "gpus": 0.0, "slots": 5,
    "wanted": 8, "where": [
        {"node": "10.0.0.1", "cpus": 0.0, "gpus": 0.0, "slots": 0},
        {"node": "10.0.0.2", "cpus": 4.0, "gpus": 0.0, "slots": 4},
        {"node": "10.0.0.3", "cpus": 1.0, "gpus": 0.0, "slots": 1},
    ],
}  # fmt: skip


def test_a_cluster_says_where_slots_are_and_what_is_missing():
    assert describe_cluster(CLUSTER) == (
        "cluster of 3 nodes: 4 slots on 10.0.0.2, 1 slot on 10.0.0.3; 3 more are wanted"
    )
    anywhere = [{**place, "slots": 0} for place in CLUSTER["where"]]
    assert describe_cluster({**CLUSTER, "where": anywhere, "wanted": 5}) == (
        "cluster of 3 nodes: 5 slots"
    )


@pytest.mark.parametrize(
    ("state", "slots", "words"),
    [
        ("lost", [1, 2], "node n was lost, and its 2 slots with it"),
        ("lost", [], "node n was lost"),
        ("joined", [3], "node n joined, and holds 1 slot"),
        ("joined", [], "node n joined"),
    ],
)
def test_nodes_that_come_and_go(state, slots, words):
    event = {"event": "node", "time": 2.0, "node": "n", "state": state, "slots": slots}
    assert describe_node(event) == words
    stream = io.StringIO()
    Lines(stream).handle(event)
    assert words in stream.getvalue()


def test_waiting_is_reported_and_one_node_is_no_cluster():
    stream = io.StringIO()
    lines = Lines(stream)
    lines.handle({**CLUSTER, "nodes": 1})
    assert "cluster" not in stream.getvalue()
    lines.handle({"event": "waiting", "time": 2.0, "slots": 3, "message": "waiting for nodes"})
    assert "waiting for nodes" in stream.getvalue()
