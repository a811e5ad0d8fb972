from __future__ import annotations

MARKET = "available_node_types/gpu/node_config/InstanceMarketOptions"


def test_spot_machines_are_fine(broken):
    assert broken("on_demand_gpus") == []


def test_gpus_on_demand_are_named(broken):
    (problem,) = broken("on_demand_gpus", {MARKET: None})
    assert problem.level == "warning"
    assert problem.path == "available_node_types.gpu.node_config"
    assert "type 'gpu' are on demand" in problem.message
    assert problem.hint == "in node_config: InstanceMarketOptions: {MarketType: spot}"


def test_workers_without_gpu_and_types_that_never_run_are_left_alone(broken):
    assert not broken(
        "on_demand_gpus", {MARKET: None, "available_node_types/gpu/resources": {"CPU": 8}}
    )
    assert not broken("on_demand_gpus", {MARKET: None, "available_node_types/gpu/max_workers": 0})
