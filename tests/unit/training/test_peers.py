"""Ranks that are lost or hang, as those see it that wait for them."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from raykd.training.device import DistributedContext
from raykd.training.peers import is_lost, is_silent
from raykd.trial.failures import failure
from tests.processes import on_processes

CPU = torch.device("cpu")
MEETINGS = {
    "sum": lambda world: world.sum(torch.ones(1)),
    "gather": lambda world: world.gather("mine"),
    "gather_tensors": lambda world: world.gather_tensors(torch.ones(2)),
    "equalise": lambda world: world.equalise([torch.ones(1)]),
    "broadcast": lambda world: world.broadcast("mine"),
}


def waits_in_vain(rank: int, folder: str, how: str) -> None:
    """The second rank waits for the first one, which is gone or does something else."""
    Path(folder, f"begun{rank}").touch()
    while not Path(folder, f"begun{1 - rank}").exists():
        time.sleep(0.01)  # or a slow start would be what is waited for
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2,
        timeout=timedelta(seconds=2),
    )  # fmt: skip
    done = Path(folder, "done")
    if rank == 0:
        while how == "hangs" and not done.exists():
            time.sleep(0.01)
        os._exit(0)
    world, actual = DistributedContext(rank, 2, CPU), {}
    for name, meet in MEETINGS.items():
        try:
            meet(world)
        except Exception as exc:
            actual[name] = [is_lost(exc), is_silent(exc), failure(exc, 2)["error"]]
    done.write_text(json.dumps(actual))


@pytest.mark.parametrize("how", ["hangs", "ends"])
def test_who_waits_in_vain_knows_why(tmp_path, how):
    on_processes(waits_in_vain, 2, str(tmp_path), how)
    actual = json.loads((tmp_path / "done").read_text())
    assert actual.keys() == MEETINGS.keys()
    for name, (lost, silent, message) in actual.items():
        assert (lost, silent) == (how == "ends", how == "hangs"), (name, message)
        if how == "hangs":
            assert message.startswith("another worker of the slot did not answer for 4 hours")


def test_other_errors_say_nothing_of_ranks():
    for exc in (BrokenPipeError("connection reset by peer"), RuntimeError("a bad shape")):
        assert not is_lost(exc)
        assert not is_silent(exc)
