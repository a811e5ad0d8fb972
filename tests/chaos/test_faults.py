"""Sweeps with faults in them end by themselves, and all other trials are as ever (20 and more)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.faults import ABLE, kinds, read
from tests.chaos.own_mounts import MOUNTS, ROOT, TMP

SEED, SWEEPS = 19, 20


CAP_SYS_ADMIN = 21


def able_of(printed: str) -> frozenset[str]:
    """What the process said that it was able to do."""
    (line,) = [line for line in printed.splitlines() if line.startswith(ABLE)]
    return frozenset(line.removeprefix(ABLE).split(", ")) & {MOUNTS, ROOT, TMP}


def may_mount() -> bool:
    """Whether the kernel lets this process mount file systems; then no machine is left out."""
    with open("/proc/self/status", encoding="ascii") as file:
        (able,) = [line.split()[1] for line in file if line.startswith("CapEff:")]
    return bool(int(able, 16) >> CAP_SYS_ADMIN & 1)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)  # each sweep has a limit of its own
def test_every_fault_ends_in_a_sweep_that_ends(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rows = tmp_path / "rows.jsonl"
    # A process of its own has file systems of its own, where the system allows that.
    command = ["-m", "tests.chaos.faults", "--seed", str(SEED), "--rows", str(rows)]
    ended = subprocess.run(
        [sys.executable, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    able = able_of(ended.stdout)
    record_property("able", sorted(able))
    print(f"{ABLE}{sorted(able)}")
    assert MOUNTS in able or not may_mount()
    came = read(rows)
    assert [one for one in came if not one.well] == [], ended.stdout
    assert ended.returncode == 0, ended.stderr
    assert {one.fault for one in came} == {*kinds(able)}
    assert len(came) >= SWEEPS
