"""Two real processes with gloo against one process with the same global batches."""

import contextlib
import dataclasses
import json
import os
import tempfile
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from raykd.errors import TrialError
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from tests.processes import on_processes
from tests.unit.training.toys import CPU, Plain, job, numbers

EXACT = {"dropout": 0.0, "precision": "fp32", "epochs": 2, "batch_size": 5}


def small(world, **changes):
    # Batches of 5 divide unevenly, and the last one of an epoch has one row, so one rank has none.
    return job(rows=31, world=world, **(EXACT | changes))


def _rank(rank, size, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size
    )
    world = DistributedContext(rank, size, CPU)
    seen = {"plain": train_model(small(world)), "again": train_model(small(world))}
    seen["stopped"] = train_model(small(world, epochs=9, on_evaluation=lambda e: e.epoch == 1))
    path = Path(folder) / "state.safetensors"
    with pytest.raises(Interrupted) if rank == 0 else contextlib.nullcontext():
        train_model(
            small(
                world,
                dropout=0.3,
                state_path=path,
                state_every_s=0.0,
                on_evaluation=_raise_at_the_end,
            )
        )
    seen["resumed"] = train_model(small(world, dropout=0.3, state_path=path))
    seen["whole"] = train_model(small(world, dropout=0.3))
    unsaved = {"dropout": 0.3, "epochs": 3}
    Path(folder, "file").touch()
    notes = []
    seen["unsaved"] = train_model(
        small(
            world,
            state_path=Path(folder, "file", "state.safetensors"),
            state_every_s=0.0,
            note=notes.append,
            **unsaved,
        )
    )
    seen["unsaved whole"] = train_model(small(world, **unsaved))
    result = {
        name: {
            "history": [dataclasses.asdict(e) for e in r.history],
            "stopped": r.stopped,
            "steps": r.steps,
        }
        for name, r in seen.items()
    }
    result["notes"] = notes
    with pytest.raises(TrialError, match="loss became NaN at step 1 ") as caught:
        train_model(small(world, method=Plain, scale=float("nan") if rank == 1 else 1.0))
    result["message"] = caught.value.message
    Path(folder, f"{rank}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


class Interrupted(Exception):
    pass


def _raise_at_the_end(evaluation):
    if evaluation.epoch == 2:
        raise Interrupted
    return False


@pytest.fixture(scope="module")
def ranks():
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        on_processes(_rank, 2, 2, folder)
        yield [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in (0, 1)]


def plain(history):
    return [(e["step"], e["epoch"], e["metrics"], e["terms"]) for e in history]


def test_two_ranks_give_the_losses_of_one(ranks):
    one = train_model(small(DistributedContext(0, 1, CPU)))
    two = ranks[0]["plain"]
    assert two["steps"] == one.steps
    for mine, expected in zip(numbers(one.history), plain(two["history"]), strict=True):
        assert expected[:2] == mine[:2]
        assert expected[3] == pytest.approx(mine[3], rel=1e-4)
        assert expected[2]["accuracy"] == pytest.approx(mine[2]["accuracy"], abs=0.03)


def test_ranks_agree_on_everything(ranks):
    for name in ("plain", "again", "stopped", "resumed", "whole", "unsaved"):
        one, two = (plain(r[name]["history"]) for r in ranks)
        assert one == two


def test_two_ranks_repeat_bit_for_bit(ranks):
    assert plain(ranks[0]["plain"]["history"]) == plain(ranks[0]["again"]["history"])


def test_the_decision_of_rank_0_stops_both(ranks):
    assert [(r["stopped"]["stopped"], r["stopped"]["steps"]) for r in ranks] == [(True, 7)] * 2


def test_two_ranks_resume_bit_for_bit(ranks):
    for r in ranks:
        assert plain(r["resumed"]["history"]) == plain(r["whole"]["history"])


def test_two_ranks_whose_state_cannot_be_saved_train_as_without(ranks):
    for r in ranks:
        assert plain(r["unsaved"]["history"]) == plain(r["unsaved whole"]["history"])
        assert r["unsaved"]["steps"] == 3 * 7
    (note,) = ranks[0]["notes"]
    assert note.endswith("; the training continues without it")
    assert ranks[1]["notes"] == []


def test_a_bad_loss_on_one_rank_ends_both_alike(ranks):
    assert ranks[0]["message"] == ranks[1]["message"]
