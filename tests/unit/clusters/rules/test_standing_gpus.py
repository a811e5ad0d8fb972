from __future__ import annotations


def test_gpus_that_are_started_when_needed_are_fine(broken):
    assert broken("standing_gpus") == []


def test_gpus_that_run_at_all_times_are_named(broken):
    (problem,) = broken("standing_gpus", {"available_node_types/gpu/min_workers": 2})
    assert problem.level == "warning"
    assert problem.path == "available_node_types.gpu.min_workers"
    assert "2 GPU workers of type 'gpu' run at all times" in problem.message


def test_cpus_may_run_at_all_times(broken):
    cpus = {"available_node_types/gpu/min_workers": 2, "available_node_types/gpu/resources": {}}
    assert broken("standing_gpus", cpus) == []
