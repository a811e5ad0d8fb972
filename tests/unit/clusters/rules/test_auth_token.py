from __future__ import annotations


def test_a_token_that_is_sent_and_requested_is_fine(broken):
    assert broken("auth_token") == []


def test_a_token_that_is_not_sent(broken):
    (problem,) = broken("auth_token", {"file_mounts": {}})
    assert problem.level == "error"
    assert "the token is not sent to the machines" in problem.message
    assert problem.hint == "file_mounts: {~/.ray/auth_token: ~/.ray/auth_token}"


def test_no_token_on_this_machine(broken, client):
    (client.home / ".ray" / "auth_token").unlink()
    (problem,) = broken("auth_token")
    assert problem.level == "error"
    assert "there is no token on this machine" in problem.message
    assert problem.hint == "make one: ray get-auth-token --generate"


def test_a_token_that_ray_does_not_ask_for(broken):
    (problem,) = broken("auth_token", {"worker_start_ray_commands": ["ray stop", "ray start"]})
    assert problem.level == "error"
    assert problem.path == "worker_start_ray_commands[1]"
    assert "RAY_AUTH_MODE is not set" in problem.message


def test_asking_that_is_switched_off(broken):
    off = {"head_start_ray_commands": ["RAY_AUTH_MODE=disabled ray start --head"]}
    (problem,) = broken("auth_token", off)
    assert "RAY_AUTH_MODE is set to disabled" in problem.message
