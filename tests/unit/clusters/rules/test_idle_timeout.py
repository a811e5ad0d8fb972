from __future__ import annotations

import pytest

LOCAL = {"cluster_name": "test", "provider": {"type": "local", "head_ip": "a", "worker_ips": []}}


@pytest.mark.parametrize("minutes", [1, 60])
def test_a_stated_time_is_fine(broken, minutes):
    assert broken("idle_timeout", {"idle_timeout_minutes": minutes}) == []


def test_a_missing_time_is_that_of_ray(broken):
    (problem,) = broken("idle_timeout", {"idle_timeout_minutes": None})
    assert problem.level == "warning"
    assert "gives workers back after 5 minutes" in problem.message


def test_a_long_time_costs(broken):
    (problem,) = broken("idle_timeout", {"idle_timeout_minutes": 61})
    assert (problem.level, problem.line) == ("warning", 7)
    assert "61 minutes without work, and paid" in problem.message


def test_own_machines_cost_nothing(broken):
    assert broken("idle_timeout", base=LOCAL) == []
