"""Sweeps with faults in them end by themselves, and all other trials are as ever (20 and more)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faults import kinds, read

SEED, SWEEPS = 19, 20


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)  # each sweep has a limit of its own
def test_every_fault_ends_in_a_sweep_that_ends(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    # A process of its own has file systems of its own, where the system allows that.
    command = ["-m", "tests.chaos.faults", "--seed", str(SEED), "--rows", str(rows)]
    ended = subprocess.run(
        [sys.executable, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    came = read(rows)
    assert [one for one in came if not one.well] == [], ended.stdout
    assert ended.returncode == 0, ended.stderr
    assert {one.fault for one in came} >= {*kinds(frozenset())}
    assert len(came) >= SWEEPS
