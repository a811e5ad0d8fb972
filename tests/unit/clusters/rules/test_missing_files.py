from __future__ import annotations


def mounts(local: str):
    return {"file_mounts": {"~/.ray/auth_token": "~/.ray/auth_token", "~/there": local}}


def test_files_that_exist_are_fine(broken, client):
    (client.home / "mine").write_text("")
    (client.folder / "data").mkdir()
    assert broken("missing_files", mounts("~/mine")) == []
    assert broken("missing_files", mounts("data")) == []


def test_a_file_that_does_not_exist_is_an_error(broken):
    (problem,) = broken("missing_files", mounts("~/mine"))
    assert problem.level == "error"
    assert problem.message == "~/mine is to be sent to the machines, and does not exist"
    assert problem.hint == ""


def test_how_a_wheel_is_built_is_reported(broken):
    (problem,) = broken("missing_files", mounts("dist/raykd-0.1.0-py3-none-any.whl"))
    assert problem.hint == "build it: pip wheel . --no-deps -w dist"


def test_the_token_is_left_to_its_own_rule(broken, client):
    (client.home / ".ray" / "auth_token").unlink()
    assert broken("missing_files") == []
