"""Who reaches a socket that is a file."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.chaos.sockets import CHECKED, CLOSED, OPEN, OWN, kind_of


@pytest.mark.parametrize(("mode", "kind"), [(0o700, CLOSED), (0o710, CLOSED), (0o711, OPEN)])
def test_the_folder_of_the_user_decides(
    mode: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    own = tmp_path / OWN
    sockets = own / "ray" / "session_1" / "sockets"
    sockets.mkdir(parents=True)
    sockets.chmod(0o777)
    own.chmod(mode)
    monkeypatch.chdir(sockets)  # as names of sockets are limited
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("raylet")
    assert kind_of(str(sockets / "raylet")) == kind


def test_a_socket_elsewhere_is_as_closed_as_all_its_folders(tmp_path: Path) -> None:
    file = tmp_path / "socket"
    file.touch()
    tmp_path.chmod(0o700)
    assert kind_of(str(file)) == CLOSED
    file.unlink()
    with pytest.raises(FileNotFoundError):
        kind_of(str(file))


def test_a_name_is_open_to_all_unless_it_asks() -> None:
    assert kind_of("@raykd-1") == CHECKED
    assert kind_of("@other") == OPEN
