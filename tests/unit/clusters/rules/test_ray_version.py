from __future__ import annotations

import pytest


def test_the_version_of_this_machine_is_fine(broken):
    assert broken("ray_version") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"setup_commands": ["pip install 'ray[default]==2.59.1'"]},
        {"docker": {"image": "rayproject/ray:2.59.1-py311-gpu", "container_name": "c"}},
    ],
)
def test_another_version_is_an_error(broken, changes):
    (problem,) = broken("ray_version", changes)
    assert problem.level == "error"
    assert "the machines get Ray 2.59.1, this one has 2.60.0" in problem.message


def test_the_wheel_of_rays_defaults_is_another_version(broken):
    (problem,) = broken("ray_version", {"setup_commands": None})
    assert "the machines get Ray 3.0.0.dev0" in problem.message


def test_images_of_ones_own_say_nothing(broken):
    assert broken("ray_version", {"docker": {"image": "own:1.0.0", "container_name": "c"}}) == []
