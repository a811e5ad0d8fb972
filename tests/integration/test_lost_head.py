"""A cluster that others started, whose head dies under a sweep that was given its address."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from raykd.results.store import load_results
from tests.integration.test_ends import SEARCH, _ended
from tests.integration.test_sweep import _command, _file, _read_until

HOLDS = """
import sys
from raykd.clusters.local_cluster import LocalCluster
cluster = LocalCluster()
print(cluster.address(), flush=True)
sys.stdin.read()
cluster.end()
"""
"""Keeps a cluster until nobody writes to it any more."""


@contextmanager
def other_cluster() -> Iterator[tuple[str, psutil.Process]]:
    """The address of a cluster of another process, and that process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        yield holder.stdout.readline().strip(), psutil.Process(holder.pid)
        holder.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "codes"),
    # A driver that puts or lets go of an object where the raylet is gone is ended by Ray itself.
    [("gcs/gcs_server ", (4,)), ("raylet/raylet ", (4, 1))],
)
def test_the_sweep_says_within_a_minute_what_was_lost_and_goes_on_with_another_cluster(
    words: str,
    codes: tuple[int, ...],
    cache_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    file = _file(tmp_path, search={**SEARCH, "trials": 6})
    out = tmp_path / "runs"
    with other_cluster() as (address, holder):
        sweep = _command(
            "sweep", str(file), "--out", str(out), "--address", address, cache=cache_folder
        )
        _read_until(sweep, "trial_finished", 2)
        (victim,) = [
            p for p in holder.children(recursive=True) if words in " ".join(p.cmdline()) + " "
        ]
        began = time.monotonic()
        victim.send_signal(signal.SIGKILL)
        code, errors = _ended(sweep)
        assert time.monotonic() - began < 60
    (run,) = out.iterdir()
    assert code in codes, errors
    assert code == 1 or f"the Ray cluster at {address} is lost" in errors
    assert f"raykd sweep --resume {run}" in errors
    assert "Traceback" not in errors
    seen = len(load_results(run).trials)
    assert seen >= 2
    monkeypatch.delenv("RAY_AUTH_MODE")
    code, errors = _ended(_command("sweep", "--resume", str(run), cache=cache_folder))
    assert code == 0, errors
    result = load_results(run)
    assert result.finished
    names = [t.trial_id for t in result.trials]
    assert len(names) == len(set(names)) > seen
