"""Sweeps with faults in them end by themselves, and all other trials are as ever (20 sweeps)."""

from __future__ import annotations

import pytest

from tests.chaos.faults import faulted
from tests.chaos.faulty_method import FAULTS

SWEEPS, SEED = 20, 19


@pytest.mark.slow
def test_every_fault_ends_in_a_sweep_that_ends() -> None:
    came = list(faulted(SWEEPS, SEED, list(FAULTS)))
    assert {one.fault for one in came} == set(FAULTS)
    assert [one for one in came if one.hangs or one.wrong] == []
