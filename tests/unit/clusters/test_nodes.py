from __future__ import annotations

import pytest

from raykd.clusters.autoscaling import _spread_evenly
from raykd.clusters.nodes import Node, addable
from raykd.errors import SetupError
from raykd.trial.slot_pool import SlotShape

FILE = """
max_workers: 3
head_node_type: head
available_node_types:
  head: {resources: {CPU: 0}, max_workers: 0}
  cpu: {resources: {CPU: 8}, max_workers: 2}
  gpu: {resources: {CPU: 4, GPU: 1}, max_workers: 2, labels: {kind: fast}}
  unused: {resources: {CPU: 64}, max_workers: 0}
"""


@pytest.mark.parametrize(
    ("cpus", "gpus", "shape", "ranks"),
    [
        (8, 0, SlotShape(workers=1, cpus=2, gpus=0), 4),
        (8, 2, SlotShape(workers=1, cpus=1, gpus=0.5), 4),
        (1, 4, SlotShape(workers=1, cpus=1, gpus=1), 1),
        (8, 0, SlotShape(workers=1, cpus=1, gpus=1), 0),
        (1, 1, SlotShape(workers=1, cpus=0.1, gpus=0.1), 10),
    ],
)
def test_ranks_that_fit_on_a_node(cpus, gpus, shape, ranks):
    assert Node(cpus=cpus, gpus=gpus).ranks(shape) == ranks


def test_labels_are_all_wanted():
    node = Node(cpus=1, gpus=0, labels={"kind": "fast", "zone": "a"})
    assert node.has({})
    assert node.has({"kind": "fast"})
    assert not node.has({"kind": "fast", "zone": "b"})


def test_what_an_autoscaler_could_add_is_in_the_cluster_file(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(FILE)
    actual = addable(path)
    assert [(n.cpus, n.gpus) for n in actual] == [(4, 1), (4, 1), (8, 0)]
    assert actual[0].labels == {"kind": "fast"}
    assert addable(tmp_path / "none.yaml") == ()


@pytest.mark.parametrize("text", ["a: [", "available_node_types: 3", "- 1"])
def test_a_cluster_file_that_is_none_is_one_message(text, tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(SetupError, match="cannot read the cluster file"):
        addable(path)


def test_slots_are_spread_evenly_as_far_as_there_is_room():
    assert _spread_evenly({"a": 3, "b": 1, "c": 0}, 3) == {"a": 2, "b": 1}
    assert _spread_evenly({"a": 1, "b": 1}, 5) == {"a": 1, "b": 1}
    assert _spread_evenly({"a": 1}, 0) == {}
    assert _spread_evenly({"a": 1}, -2) == {}
