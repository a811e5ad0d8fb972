"""Processes with gloo against one process: gradients, what is logged, and a resumed rollout.

`tests.contracts.test_ranks` goes through every method, in threads.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

from raykd.models.generation import GenerationSettings
from raykd.training import student_runner
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from raykd.training.terms import LossTracker
from tests.processes import on_processes
from tests.small_pairs import LENGTHS, SmallPair

# Uneven lengths; some ranks without a label or a rationale; fewer rows than three ranks. In so many
# passes.
BATCHES = (
    (np.arange(len(LENGTHS)), 3),
    (np.array([0, 1, 5, 3, 5, 1]), 2),
    (np.array([3, 0]), 1),
)
CASES = {
    ("classification", "ckd"): {},
    ("classification", "sinkd"): {},
    ("span", "tinybert"): {},
    ("masked_lm", "kd"): {},
    ("causal_lm", "step_by_step"): {"alpha": 0.3},
    ("causal_lm", "gkd"): {"lmbda": 1.0, "max_new_tokens": 5},
    ("causal_lm", "minillm"): {"ppo_epochs": 1, "max_new_tokens": 5},
    ("seq2seq", "sinkd"): {},
}
WHOLE = {("classification", "sinkd"), ("seq2seq", "sinkd")}
"""What they compare in one pass is another thing in several."""
CUT = {"ppo_epochs": 4, "max_new_tokens": 4}


@functools.cache
def pair_of(kind):
    pair = SmallPair.of(kind)
    pair.teacher.double(), pair.student.double()
    return pair


def one_step(kind, name, rows, world, passes):
    """Gradient and logged terms of one step, as in the loop."""
    pair = pair_of(kind)
    method = pair.method(name, **CASES[kind, name])
    model = copy.deepcopy(pair.student)
    step = pair.step(method, world, model, pair.teacher)
    actual = step.run(pair.parts(method, rows, world, passes), rows)
    loss_tracker = LossTracker(world)
    loss_tracker.add(actual.terms, actual.totals, actual.values, 1)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in step.parameters()]
    return torch.cat([g.flatten() for g in grads]), loss_tracker.means(1)


def every_step(world):
    sampled = student_runner.GenerationSettings
    # The likeliest text of a row is the same on any rank.
    student_runner.GenerationSettings = lambda **given: GenerationSettings(
        **{**given, "sample": False}
    )
    try:
        return {
            (*case, number): one_step(*case, rows, world, passes if case not in WHOLE else 1)
            for case in CASES
            for number, (rows, passes) in enumerate(BATCHES)
        }
    finally:
        student_runner.GenerationSettings = sampled


class CutOff(Exception):
    pass


def _stop(evaluation):
    if evaluation.step == 3:
        raise CutOff
    return False


def training(world, **changes):
    pair = SmallPair.of("causal_lm", dropout=0.1)
    method = pair.method("minillm", **CUT)
    train_model(
        pair.job(method, pair.student, world, evals_per_epoch=3, state_every_s=0.0, **changes)
    )
    return {k: v.clone() for k, v in pair.student.state_dict().items()}


def _rank(rank, size, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size
    )
    world = DistributedContext(rank, size, torch.device("cpu"))
    actual = {"steps": every_step(world)}
    if size == 2:
        path = Path(folder) / "state.safetensors"
        with pytest.raises(CutOff) if rank == 0 else contextlib.nullcontext():
            training(world, state_path=path, on_evaluation=_stop)
        actual["resumed"], actual["whole"] = training(world, state_path=path), training(world)
    torch.save(actual, Path(folder, f"{rank}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def spawned():
    """What every rank found, by the number of ranks."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    actual = {}
    for size in (2, 3):
        with tempfile.TemporaryDirectory() as folder:
            on_processes(_rank, size, size, folder)
            actual[size] = [torch.load(Path(folder, f"{rank}.pt")) for rank in range(size)]
    return actual


@pytest.fixture(scope="module")
def alone():
    return every_step(DistributedContext(0, 1, torch.device("cpu")))


@pytest.mark.parametrize("size", [2, 3])
def test_processes_have_the_gradient_and_the_losses_of_one(size, spawned, alone):
    for case, (expected, terms) in alone.items():
        for actual, logged in (rank["steps"][case] for rank in spawned[size]):
            largest = expected.abs().max().item()
            assert (actual - expected).abs().max().item() <= 1e-5 * max(largest, 1e-3), case
            assert logged == pytest.approx(terms, rel=1e-5, abs=1e-7), case


def test_ranks_continue_with_the_responses_that_each_of_them_sampled(spawned):
    one, two = spawned[2]
    for rank in (one, two):
        assert all(torch.equal(rank["resumed"][k], v) for k, v in rank["whole"].items())
        assert all(torch.equal(one["whole"][k], v) for k, v in rank["whole"].items())
