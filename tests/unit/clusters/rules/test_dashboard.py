from __future__ import annotations

import pytest


def start(options: str):
    return {"head_start_ray_commands": [f"export RAY_AUTH_MODE=token; ray start --head {options}"]}


@pytest.mark.parametrize(
    "options", ["", "--dashboard-host=127.0.0.1", "--dashboard-host localhost"]
)
def test_a_dashboard_on_the_head_only_is_fine(broken, options):
    assert broken("dashboard", start(options)) == []


@pytest.mark.parametrize("options", ["--dashboard-host=0.0.0.0", "--dashboard-host '::' --port=1"])
def test_a_dashboard_for_everyone_is_an_error(broken, options):
    (problem,) = broken("dashboard", start(options))
    assert problem.level == "error"
    assert problem.path == "head_start_ray_commands[0]"
    assert "it can start jobs" in problem.message


def test_the_default_of_ray_listens_to_everyone(broken):
    (problem,) = broken("dashboard", {"head_start_ray_commands": None})
    assert "listens to 0.0.0.0" in problem.message
    assert "Ray's default, the file has no head_start_ray_commands" in problem.message
