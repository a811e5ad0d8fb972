"""Sums by hand, for a head at 0.10 and GPU workers of two GPUs at 0.50."""

from __future__ import annotations

import pytest

from raykd.clusters.estimate import NodeCost, estimate, is_spot, total

CPU_TYPE = {
    "resources": {"CPU": 4},
    "max_workers": 5,
    "node_config": {"InstanceType": "c6i.xlarge", "ImageId": "ami-1"},
}


def test_one_slot_for_each_gpu(described):
    actual = estimate(described())
    assert (actual.unit, actual.slots) == ("GPU", 6)  # 3 workers x 2; the head has none
    assert actual.idle == pytest.approx(0.10)
    assert actual.full == pytest.approx(0.10 + 3 * 0.50)
    head, gpu = actual.rows
    assert (head.name, head.machine, head.is_spot, head.least, head.most) == (
        "head", "m6i.large", False, 1, 1,
    )  # fmt: skip
    assert (gpu.name, gpu.is_spot, gpu.least, gpu.most, gpu.slots) == ("gpu", True, 0, 3, 2)


def test_one_slot_for_each_cpu_where_there_is_no_gpu(described):
    actual = estimate(described({"available_node_types/gpu/resources": {"CPU": 8}}))
    assert (actual.unit, actual.slots) == ("CPU", 2 + 3 * 8)


def test_workers_that_always_run_are_paid_without_work(described):
    actual = estimate(described({"available_node_types/gpu/min_workers": 2}))
    assert actual.idle == pytest.approx(0.10 + 2 * 0.50)


def test_a_price_that_is_missing_leaves_the_cost_open(described):
    actual = estimate(described({"metadata/price_per_hour/gpu": None}))
    assert (actual.idle, actual.full, actual.slots) == (None, None, 6)


def test_resources_that_are_missing_leave_the_slots_open(described):
    actual = estimate(described({"available_node_types/head/resources": None}))
    assert actual.slots is None
    assert actual.full == pytest.approx(1.60)


def test_all_types_together_have_no_more_than_max_workers(described):
    changes = {
        "max_workers": 4,
        "available_node_types/cpu": CPU_TYPE,
        "metadata/price_per_hour/cpu": 0.2,
    }
    actual = estimate(described(changes))
    assert [row.most for row in actual.rows] == [1, 3, 4]
    assert actual.slots == 6
    # The dearest that may run: three GPU workers, and one of the others.
    assert actual.full == pytest.approx(0.10 + 3 * 0.50 + 0.20)


def test_the_head_type_may_be_that_of_workers_too(described):
    changes = {"available_node_types/head/max_workers": 1, "max_workers": 4}
    actual = estimate(described(changes))
    assert [(row.name, row.least, row.most) for row in actual.rows] == [
        ("head", 1, 1), ("head", 0, 1), ("gpu", 0, 3),
    ]  # fmt: skip
    assert actual.full == pytest.approx(2 * 0.10 + 3 * 0.50)


def test_no_workers_at_all():
    head = NodeCost(name="h", machine="", is_spot=False, least=1, most=1, slots=4, price=1.5)
    actual = total("CPU", (head,), 0)
    assert (actual.slots, actual.idle, actual.full) == (4, 1.5, 1.5)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"InstanceMarketOptions": {"MarketType": "spot"}}, True),
        ({"scheduling": {"provisioningModel": "SPOT"}}, True),
        ({"scheduling": [{"preemptible": True}]}, True),
        ({"azure_arm_parameters": {"priority": "Spot"}}, True),
        ({"scheduling": {"onHostMaintenance": "TERMINATE"}}, False),
        ({"azure_arm_parameters": {}}, False),
    ],
)
def test_what_spot_machines_look_like(described, config, expected):
    cluster = described({"available_node_types/gpu/node_config": config})
    assert is_spot(cluster.node_types()[1]) is expected
