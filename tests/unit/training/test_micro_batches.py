"""Micro batches: how batches are cut, and real shortage of memory."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raykd.data.base import Batch
from raykd.errors import TrialError
from raykd.losses.terms import Count
from raykd.methods.base import LossTerms, Mean
from raykd.models.base import Outputs
from raykd.training.device import DistributedContext, together
from raykd.training.loop import train_model
from raykd.training.memory import ran_out
from raykd.training.micro_batches import MicroBatches
from raykd.training.peers import is_lost
from raykd.training.settings import TrainSettings
from raykd.trial.failures import failure
from tests.processes import on_processes
from tests.ranks import on_ranks
from tests.unit.training.toys import (
    COLLATOR,
    CPU,
    Params,
    Plain,
    context,
    encoded,
    job,
    numbers,
)

MB = 1 << 20
ROW_MB = 200
"""What a row costs `Hungry`: address space that is not touched, much more than all else needs."""


class Hungry(Plain):
    """Needs much memory for each row."""

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        torch.empty(len(batch.labels), ROW_MB * MB, dtype=torch.uint8)
        return super().loss(batch, student, teacher)


@contextlib.contextmanager
def memory(megabytes: int) -> Iterator[None]:
    """No more than so much besides what the process has."""
    gc.collect()  # what is given back later would be more
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * MB, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def hungry(**changes):
    return job(
        method=Hungry, rows=40, **({"dropout": 0.0, "precision": "fp32", "epochs": 1} | changes)
    )


@given(
    size=st.integers(1, 40),
    most=st.integers(1, 12),
    ranks=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_a_batch_is_cut_evenly_into_rows_of_similar_length(size, most, ranks, seed):
    train, world = encoded(60, seed=seed), DistributedContext(0, ranks, CPU)
    settings = TrainSettings(batch_size=size, micro_batch=most)
    rows = np.random.default_rng(seed).permutation(60)[:size]
    parts = MicroBatches(settings, train, COLLATOR, world).cut(rows)
    assert sorted(np.concatenate(parts).tolist()) == sorted(rows.tolist())
    of_ranks = [-(-len(part) // ranks) for part in parts]
    assert max(of_ranks) <= most
    assert len(parts) == math.ceil(math.ceil(size / ranks) / most)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    lengths = train.lengths()
    padded = sum(len(part) * lengths[part].max() for part in parts)
    assert padded <= size * lengths[rows].max()
    if len(parts) == 1:
        assert parts[0] is rows


def test_memory_that_runs_out_halves_the_rows_of_a_pass_and_changes_nothing_else():
    whole = train_model(hungry())
    assert {e.micro_batch for e in whole.history} == {0}
    with memory(7 * ROW_MB):
        halved = train_model(hungry())
    assert halved.steps == whole.steps
    # 16 rows and 8 are too many.
    assert [e.micro_batch for e in halved.history] == [4]
    for one, two in zip(halved.history, whole.history, strict=True):
        assert one.terms == pytest.approx(two.terms, rel=1e-5)
        assert one.metrics == pytest.approx(two.metrics, abs=0.03)


@pytest.mark.parametrize(
    ("requested", "megabytes", "message", "hint"),
    [
        pytest.param(
            "auto",
            ROW_MB // 2,
            "memory ran out with 1 row in a pass: ",
            "set train.gradient_checkpointing",
            marks=pytest.mark.slow,
        ),
        (8, 7 * ROW_MB, "memory ran out with 8 rows in a pass: ", "set train.micro_batch to auto"),
    ],
)
def test_memory_that_is_too_small_is_one_message(requested, megabytes, message, hint):
    with memory(megabytes), pytest.raises(TrialError) as caught:
        train_model(hungry(micro_batch=requested))
    assert caught.value.message.startswith(message)
    assert "can't allocate memory" in caught.value.message
    assert caught.value.hint.startswith(hint)


@pytest.mark.slow
def test_a_training_that_continues_computes_as_many_rows_as_before(tmp_path):
    path = tmp_path / "state.safetensors"

    class CutOff(Exception):
        pass

    def stop(evaluation):
        if evaluation.epoch == 2:
            raise CutOff
        return False

    with memory(7 * ROW_MB), pytest.raises(CutOff):
        train_model(hungry(state_path=path, state_every_s=0.0, on_evaluation=stop, epochs=3))
    again = train_model(hungry(state_path=path, epochs=3))
    with memory(7 * ROW_MB):
        whole = train_model(hungry(epochs=3))
    assert numbers(again.history) == numbers(whole.history)
    assert {e.micro_batch for e in again.history} == {4}


def _rank(rank, size, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size
    )
    world = DistributedContext(rank, size, CPU)
    actual = []
    for changes in ({}, {"batch_size": 5}):
        with memory(3 * ROW_MB) if rank == 1 else contextlib.nullcontext():
            actual.append(numbers(train_model(hungry(world=world, **changes)).history))
    with (
        memory(ROW_MB - 10) if rank == 1 else contextlib.nullcontext(),
        pytest.raises(TrialError, match="with 1 row in a pass") as caught,
    ):
        train_model(hungry(world=world))
    actual.append(caught.value.message)
    Path(folder, f"{rank}.json").write_text(json.dumps(actual))
    torch.distributed.destroy_process_group()


def test_ranks_halve_together_when_one_of_them_runs_short(tmp_path):
    on_processes(_rank, 2, 2, str(tmp_path))
    one, two = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert one[:2] == two[:2]
    assert "on another rank" in one[2]
    assert "on another rank" not in two[2]
    for history, changes in zip(one[:2], ({}, {"batch_size": 5}), strict=True):
        alone = numbers(train_model(hungry(**changes)).history)
        for actual, expected in zip(history, alone, strict=True):
            assert actual[0] == expected[0]
            assert actual[3] == pytest.approx(expected[3], rel=1e-4)


def _sharded_rank(rank, size, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size
    )
    world = DistributedContext(rank, size, CPU)
    limit = memory(7 * ROW_MB) if rank == 1 else contextlib.nullcontext()
    with limit, pytest.raises(Exception) as caught:  # noqa: PT011 - which one is looked at below
        train_model(hungry(world=world, sharding="full"))
    exc = caught.value
    event = failure(exc, size)
    message = "" if is_lost(exc) else event["error"]
    Path(folder, f"{rank}.json").write_text(json.dumps([message, event["hint"]]))
    # The process of the one that failed ends, as that of a worker does, and the other one hears it.


def test_memory_that_runs_out_on_one_sharded_rank_is_one_message(tmp_path):
    """The other ranks are in the middle of a pass, and only learn that this one is gone."""
    on_processes(_sharded_rank, 2, 2, str(tmp_path))
    one, two = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert one[0] == ""
    assert two[0].startswith("memory ran out with 8 rows in a pass: ")
    assert two[1] == "set train.micro_batch to a smaller number"


class Misjudged(Plain):
    """Says that it counts something else than it does."""

    def counts(self, batch: Batch) -> Mapping[str, Count]:
        return {"task": 1.0}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        return LossTerms(task=Mean(student.task_loss, batch.attention_mask.sum()))


def test_terms_that_count_something_unforeseen_are_refused_where_it_matters():
    train_model(job(method=Misjudged, epochs=1))
    with pytest.raises(TrialError, match="counted something else than it had said at step 1") as e:
        train_model(job(method=Misjudged, epochs=1, micro_batch=4))
    assert "train.micro_batch" in e.value.hint


class Moody(Plain):
    """Names another term where the batch, or that of a rank, has a certain row."""

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        name = "other" if 3 in batch.index.tolist() else "task"
        return LossTerms(**{name: student.task_loss})


def test_passes_and_ranks_name_the_same_terms():
    train_model(job(method=Moody, epochs=1))
    with pytest.raises(TrialError, match="other loss terms on some micro batches") as caught:
        train_model(job(method=Moody, epochs=1, micro_batch=4))
    assert "count=0" in caught.value.hint
    # Every rank raises it, and none waits for another.
    with pytest.raises(TrialError, match="other loss terms on some ranks"):
        on_ranks(2, lambda world: train_model(job(method=Moody, epochs=1, world=world)))


def test_other_errors_are_no_shortage_of_memory():
    assert ran_out(RuntimeError("expected a tensor of 3 rows")) == ""
    assert ran_out(ValueError("out of memory")) == ""
    assert ran_out(MemoryError()) == "MemoryError"
    assert ran_out(torch.OutOfMemoryError("CUDA out of memory. Tried\nmore")) == (
        "CUDA out of memory. Tried"
    )


def test_ranks_that_meet_in_passes_do_not_wait_for_one_without_memory():
    """It could not tell them: they wait for its weights. No process group is here to ask."""
    world = DistributedContext(0, 2, CPU, lockstep=True)
    cut = MicroBatches(TrainSettings(batch_size=16), encoded(20), COLLATOR, world)

    def step():
        with together(world):
            raise MemoryError

    with pytest.raises(TrialError, match="memory ran out with 8 rows in a pass") as caught:
        cut.attempt(step, np.arange(16), Plain(Params(), context(16)))
    assert caught.value.hint == "set train.micro_batch to a smaller number"
