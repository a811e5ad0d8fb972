"""What a rank holds of a student that is sharded over the ranks of a trial.

``python -m tests.benchmarks.sharding [RANKS]`` (2 unless given). Ranks are processes with gloo, the
student is a BERT with random weights, trained with adamw. Held are the weights, their gradients and
moments, after the backward pass; the peak is the most bytes that PyTorch has allocated at one time
in a step, with the weights and moments that were there before it. The goal is what is held: 1 /
ranks, and a little for what cannot be cut evenly. The time of a step says what gathering costs
where ranks share the cores of one machine, which is no measure of it between devices.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from raykd.models.base import RandomInitConfig
from raykd.models.load import build_model
from raykd.models.sharding import local_part, shard
from raykd.training.device import DistributedContext, in_lockstep
from raykd.training.optim import Optimizer
from raykd.training.settings import TrainSettings
from tests.benchmarks._allocated import allocated
from tests.processes import on_processes
from tests.small_pairs import LONGEST, VOCABULARY, SmallPair

SHAPE = RandomInitConfig(
    family="bert", layers=8, hidden=256, heads=4, max_positions=LONGEST, dropout=0.0
)
STEPS = 5


def measure(world: DistributedContext, sharded: bool) -> dict[str, float]:
    """Bytes and seconds of a rank."""
    pair = SmallPair.of("classification")
    model = build_model(SHAPE, vocabulary=VOCABULARY, kind="classification",
                        num_labels=pair.task.num_labels, seed=1)  # fmt: skip
    pair = dataclasses.replace(pair, student=model)
    world = in_lockstep(world) if sharded else world
    if sharded:
        shard(model, world.device)
    method = pair.method("kd")
    step = pair.step(method, world, model)
    optimizer = Optimizer(step.plan.moved, TrainSettings(), 1000, step.plan.norm)
    rows = np.arange(8)
    parts = pair.parts(method, rows, world)
    seconds: list[float] = []

    def one(number: int) -> int:
        began = time.perf_counter()
        step.run(parts, rows)
        gradients = sum(p.grad.nbytes for p in optimizer.trained if p.grad is not None)
        optimizer.step(number)
        seconds.append(time.perf_counter() - began)
        return gradients

    for number in range(STEPS):
        gradients = one(number)
    took = statistics.median(seconds[1:])
    weights = sum(local_part(p).nbytes for p in step.parameters())
    moments = sum(t.nbytes for own in optimizer.moments().values() for t in own.values())
    peak = weights + moments + allocated(lambda: one(STEPS)).peak
    return {"held": weights + moments + gradients, "peak": peak, "seconds": took}


def rank(number: int, size: int, folder: str) -> None:
    """Measure both, one after the other."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=number, world_size=size
    )
    world = DistributedContext(number, size, torch.device("cpu"))
    actual = [measure(world, sharded) for sharded in (False, True)]
    Path(folder, f"{number}.json").write_text(json.dumps(actual))
    dist.destroy_process_group()


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        on_processes(rank, size, size, folder)
        of_ranks = [json.loads(Path(folder, f"{k}.json").read_text()) for k in range(size)]
    print(f"sharding: {size} ranks, BERT {SHAPE.layers}x{SHAPE.hidden}, the largest of all ranks")
    print(f"{'':>8} {'replicated':>11} {'sharded':>11} {'ratio':>6}")
    for what, unit in (("held", 1 << 20), ("peak", 1 << 20), ("seconds", 1e-3)):
        plain, sharded = (max(of_rank[k][what] for of_rank in of_ranks) for k in (0, 1))
        name = f"{what} {'MiB' if what != 'seconds' else 'ms'}".replace("seconds", "step")
        print(f"{name:>8} {plain / unit:11.1f} {sharded / unit:11.1f} {sharded / plain:6.2f}")


if __name__ == "__main__":
    main()
