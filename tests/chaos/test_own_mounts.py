"""No process changes the mounts of others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import own_mounts

CHANGES: tuple[Callable[[Path], None], ...] = (
    own_mounts.mount_tmpfs,
    own_mounts.mount_read_only,
    lambda path: own_mounts.mount_over(path, path),
    lambda path: own_mounts.resize(path, "1m"),
    own_mounts.unmount,
)
IN_OWN = """
import sys
from pathlib import Path
from tests.chaos import own_mounts

own = own_mounts.begin([], [Path(sys.argv[1])])
print(own_mounts.MOUNTS in own.able, own.place)
"""


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


def mounts_now() -> str:
    return os.readlink("/proc/self/ns/mnt")


@pytest.mark.parametrize("change", CHANGES)
def test_without_mounts_of_its_own_nothing_is_mounted(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    before = mounts()
    with pytest.raises(RuntimeError, match="of this process's own"):
        change(tmp_path)
    assert mounts() == before


@pytest.mark.parametrize("starter", ["1", "", "OWN MOUNTS", "1 MOUNTS", "1 mnt:[1]", "OWN 1"])
def test_a_variable_alone_confirms_nothing(
    starter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = mounts()
    starter = starter.replace("OWN", str(os.getpid())).replace("MOUNTS", mounts_now())
    monkeypatch.setenv(own_mounts._STARTER, starter)
    assert own_mounts.begin([]) == own_mounts.Own()
    with pytest.raises(RuntimeError):
        own_mounts.mount_tmpfs(tmp_path)
    assert mounts() == before


def begun(written: Path) -> subprocess.CompletedProcess[str]:
    before = mounts()
    command = [sys.executable, "-c", IN_OWN, str(written)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert mounts() == before
    return ended


def test_what_is_needed_is_not_hidden(tmp_path: Path) -> None:
    usual, other = begun(tmp_path), begun(own_mounts.PLACE / "data")
    assert usual.returncode == other.returncode == 0, usual.stderr + other.stderr
    if usual.stdout == "False None\n":  # the system does not allow it
        assert other.stdout == usual.stdout
        return
    assert usual.stdout == f"True {own_mounts.PLACE}\n"
    place = Path(other.stdout.removeprefix("True ").strip())
    assert place.parent == own_mounts.TEMPORARY[0]
    assert not place.exists()  # it goes with its process
    shared = begun(own_mounts.SHARED_MEMORY / "data")
    assert shared.returncode
    assert "/dev/shm/data would not be seen" in shared.stderr


def test_a_path_leads_to_a_folder(tmp_path: Path) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.symlink_to(folder)
    paths = [folder, folder / "file", other / "file"]
    assert own_mounts.inside(folder, [*paths, tmp_path]) == paths
    assert own_mounts.inside(other, paths) == paths
