"""The token of a cluster: who may read its file, and over what it is sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raykd.clusters import auth_token
from raykd.clusters.auth_token import TOKEN, TOKEN_PATH, make_private, read_token
from raykd.clusters.job_submission import Submission
from raykd.errors import SetupError


@pytest.fixture
def path(monkeypatch, tmp_path):
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setenv(TOKEN_PATH, str(tmp_path / ".ray" / "auth_token"))
    return tmp_path / ".ray" / "auth_token"


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_a_token_is_made_that_only_its_owner_reads(path):
    make_private()
    first = read_token()
    assert len(first) == 64
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    make_private()
    assert read_token() == first


def test_a_token_that_others_could_read_is_closed_to_them(path):
    path.parent.mkdir()
    path.write_text("abc")
    path.chmod(0o644)
    make_private()
    assert (mode(path), read_token()) == (0o600, "abc")


def test_without_a_place_for_it_a_token_lives_in_the_environment(path, monkeypatch):
    path.parent.write_text("a file where a folder should be")
    monkeypatch.setenv(TOKEN, "")
    make_private()
    assert len(os.environ[TOKEN]) == 64
    assert read_token() == os.environ[TOKEN]


@pytest.mark.parametrize(
    ("address", "insecure", "sent"),
    [
        ("http://head.example:8265", False, False),
        ("http://192.0.2.7:8265", False, False),
        ("http://127.0.0.1.example:8265", False, False),
        ("http://192.0.2.7:8265", True, True),
        ("https://head.example:8265", False, True),
        ("http://localhost:8265", False, True),
        ("http://127.0.0.1:8265", False, True),
        ("http://[::1]:8265", False, True),
    ],
)
def test_a_token_goes_without_encryption_to_this_machine_alone(
    path, monkeypatch, address, insecure, sent
):
    make_private()
    given = []

    def connect(where, headers):
        given.append(headers)
        raise ConnectionError("nobody is there")

    monkeypatch.setattr("ray.job_submission.JobSubmissionClient", connect)
    with pytest.raises(SetupError, match="does not answer" if sent else "without encryption"):
        Submission(address, insecure)
    assert given == ([{"Authorization": f"Bearer {read_token()}"}] if sent else [])


def test_where_there_is_no_token_nothing_is_refused(path, monkeypatch):
    assert auth_token.read_token() == ""
    with pytest.raises(SetupError, match="does not answer"):
        Submission("http://192.0.2.7.invalid:9")
