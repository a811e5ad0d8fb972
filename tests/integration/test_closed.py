"""What a local sweep opens and leaves behind: sockets, secrets, processes, files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.test_sweep import _command, _file, _read_until

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted-aws-5f1c", "HF_TOKEN": "planted-hub-5f1c",
    "WANDB_API_KEY": "planted-wandb-5f1c", "HTTPS_PROXY": "http://user:planted-proxy-5f1c@[::1]:9",
}  # fmt: skip
PLANTED = b"-5f1c"
LEFT_S = 60.0


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _listening(processes: list[psutil.Process]) -> set[tuple[str, str]]:
    """Name of the process and address of every socket that waits for connections."""
    listening = set()
    for process in processes:
        try:
            sockets = process.net_connections(kind="inet")
            listening |= {(process.name(), s.laddr.ip) for s in sockets if s.status == "LISTEN"}
        except psutil.Error:  # it ended meanwhile
            continue
    return listening


def _holding(folder: Path) -> list[str]:
    """Files with a planted secret in them."""
    holding = []
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                holding += [str(path)] if PLANTED in path.read_bytes() else []
        except OSError:
            continue
    return holding


def _shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray keeps logs and sockets; with a short name, as those of sockets are limited."""
    with tempfile.TemporaryDirectory(prefix="rk", dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


@pytest.mark.slow
def test_a_local_sweep_is_closed_and_leaves_nothing(
    cache_folder: Path, prepared: object, ray_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    shared = _shared_memory()
    out = tmp_path / "runs"
    driver = _command("sweep", str(_file(tmp_path)), "--out", str(out), cache=cache_folder)
    seen: set[tuple[str, str]] = set()
    processes: list[psutil.Process] = []
    for _ in range(2):
        _read_until(driver, "trial_finished", 1)
        processes = _tree(psutil.Process(driver.pid))
        seen |= _listening(processes)
        assert not _holding(ray_folder)
    printed, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors
    assert {name for name, _ in seen} >= {"gcs_server", "raylet"}
    assert {address.removeprefix("::ffff:") for _, address in seen} <= {"127.0.0.1", "::1"}, seen
    assert PLANTED not in (printed + errors).encode()
    assert not _holding(tmp_path)
    _, alive = psutil.wait_procs(processes, timeout=LEFT_S)
    assert not alive
    assert _shared_memory() <= shared
    assert not _holding(ray_folder)
    (run,) = out.iterdir()
    assert not list(run.rglob("*.part"))
    assert not (run / "ray").exists()
    token = Path(os.path.expanduser("~/.ray/auth_token"))
    assert not token.exists() or not token.stat().st_mode & 0o077
