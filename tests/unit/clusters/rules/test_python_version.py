from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "command",
    ["uv venv --python 3.11 ~/env", "python3.11 -m venv e", "conda create -n e python=3.11"],
)
def test_the_python_of_this_machine_is_fine(broken, command):
    assert broken("python_version", {"setup_commands": [command]}) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"setup_commands": ["uv venv --python 3.12 ~/env"]},
        {"setup_commands": ["python3.12 -m venv e && python3.12 -m pip --version"]},
        {"setup_commands": ["conda create -n e python=3.12"]},
        {"docker": {"image": "rayproject/ray:2.60.0-py312", "container_name": "c"}},
    ],
)
def test_another_python_is_a_warning(broken, changes):
    (problem,) = broken("python_version", changes)
    assert problem.level == "warning"
    assert "the machines get Python 3.12, this one has 3.11" in problem.message
