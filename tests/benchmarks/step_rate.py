"""Steps per second in a slot with the teacher served, against a bare loop with no teacher.

``python -m tests.benchmarks.step_rate [--students 3x384] [--methods kd ckd]``. The bare loop is
what one would write by hand for the student alone: the same batches padded the same way, fused
AdamW with the same schedule and clipping, no teacher, no Ray, in this process. Both use one thread
and run in turns, one right after the other for every method and round; the median of the ratios
of the rounds is printed, so that a machine that slows down for a while slows both.

What a loss itself costs is counted separately: forward and backward of the terms of a method, from
outputs that are already there, is timed on the same batches in this process and taken off. What is
left is what serving costs: looking up the teacher, hidden states of the student, bookkeeping.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from raykd import registry
from raykd.clusters.connection import connected
from raykd.data.base import Batch, TokenizedDataset
from raykd.data.collate import Collator
from raykd.methods.base import Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.forward import forward
from raykd.models.signals.logits import Logits
from raykd.params import build
from raykd.spec.schema import RandomInitSpec
from raykd.sweep.in_process import prepare_task
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.prepared_task import PreparedTask
from raykd.training.batches import LengthGroupedBatches
from raykd.training.device import DistributedContext
from raykd.training.settings import TrainSettings
from raykd.trial.run import build_method
from tests.integration.conftest import TASK, Bench, open_bench, tiny_spec, trial_config

ROUNDS = 5
STUDENTS = {"3x48": (3, 48, 2), "3x384": (3, 384, 6)}
METHODS: dict[str, dict[str, Any]] = {
    "none": {},
    "kd": {"alpha": 0.7},
    "sinkd": {},
    "one_to_one": {"alpha_ce": 0.5, "alpha_corr": 0.1, "alpha_cos": 0.5},
    "pkd": {},
    "tinybert": {},
    "ckd": {"alpha": 0.7},
}
TRAIN = {"epochs": 4, "batch_size": 32, "lr": 1e-4, "precision": "fp32"}


def prepared_with(
    layers: int, hidden: int, heads: int, methods: list[str], folder: Path
) -> PreparedTask:
    """The toy task with a student of some size and everything recorded that the methods read."""
    plain = tiny_spec().as_dict()
    spec = tiny_spec(
        data={**plain["data"], "limit": None, "student_rows": 1600 if hidden < 100 else 320},
        teacher={
            "model": RandomInitSpec(
                family="bert", layers=2 * layers, hidden=hidden, heads=heads
            ).model_dump(),
            "finetune": {"epochs": 1, "lr": 1e-3, "batch_size": 64, "rows": 512},
            "serve": "outputs",
        },
        student={"model": {"family": "bert", "layers": layers, "hidden": hidden, "heads": heads}},
        methods={m: {"name": m, "method": m, "fixed": METHODS[m]} for m in methods},
    )
    prepared = prepare_task(spec, TASK, folder, lambda *progress: None)[1]
    # Evaluations are not what is measured.
    validation = first_rows(prepared.splits["validation"], 16)
    return replace(prepared, splits={**prepared.splits, "validation": validation})


def first_rows(encoded: TokenizedDataset, count: int) -> TokenizedDataset:
    """The first rows of a split."""
    end = int(encoded.offsets[count])
    return TokenizedDataset(
        input_ids=encoded.input_ids[:end],
        token_type_ids=encoded.token_type_ids[:end],
        offsets=encoded.offsets[: count + 1],
        labels=encoded.labels[:count],
    )


def batches_of(prepared: PreparedTask, seed: int) -> LengthGroupedBatches:
    """The batches of a trial."""
    lengths = prepared.splits["train"].lengths()
    return LengthGroupedBatches(lengths=lengths, batch_size=TRAIN["batch_size"], seed=seed)


def bare_seconds(prepared: PreparedTask, context_padding: int, seed: int) -> float:
    """Seconds of a step of the hand-written loop, from the second epoch on."""
    torch.set_num_threads(1)
    settings = build(TrainSettings, TRAIN)
    model: Any = prepared.student.build(seed).train()
    data = prepared.splits["train"]
    batches = batches_of(prepared, seed)
    collate = Collator(
        prepared.pad_id, max_length=prepared.max_length, context_padding=context_padding
    )
    adamw = torch.optim.AdamW(model.parameters(), settings.lr, fused=True)
    total = settings.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(adamw, lambda step: 1.0 - step / total)
    began, steps = 0.0, 0
    for epoch in range(settings.epochs):
        if epoch == 1:
            began = time.perf_counter()
        for rows in batches.epoch(epoch):
            batch = collate(data, rows)
            logits = model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                token_type_ids=batch.token_type_ids,
            ).logits
            F.cross_entropy(logits, batch.labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adamw.step()
            schedule.step()
            adamw.zero_grad(set_to_none=True)
            steps += epoch > 0
    return (time.perf_counter() - began) / steps


def slot_seconds(bench: Bench, method: str, seed: int) -> float:
    """Seconds of a step of a trial, from the second epoch on, evaluations left out."""
    events = bench.run(
        trial_config(method=method, coefficients=METHODS[method], train=TRAIN, seed=seed)
    )
    if events[-1]["kind"] != "done":
        raise RuntimeError(events[-1]["error"])
    seen = [e["evaluation"] for e in events]
    steps = seen[-1]["step"] - seen[0]["step"]
    return float((seen[-1]["seconds"] - seen[0]["seconds"]) / steps)


@dataclass(frozen=True, slots=True)
class LossBench:
    """Times the terms of a method alone.

    Attributes:
        prepared: The task.
        method: The method.
    """

    prepared: PreparedTask
    method: Method[Any]

    def seconds(self, seed: int) -> float:
        """Seconds of the loss, forward and backward, for a batch of the first epoch."""
        torch.set_num_threads(1)
        prepared, method = self.prepared, self.method
        model: Any = prepared.student.build(seed).eval()
        world = DistributedContext(device=torch.device("cpu"))
        read = open_teacher(prepared, world).outputs_fn(
            method.teacher_outputs(), method.feature_transforms()
        )
        context_padding = method.teacher_outputs().context_padding
        collate = Collator(
            prepared.pad_id, max_length=prepared.max_length, context_padding=context_padding
        )
        rows = batches_of(prepared, seed).epoch(0)
        spent = 0.0
        for numbers in rows:
            batch = collate(prepared.splits["train"], numbers)
            actual = self._leaves(model, batch)
            expected = read(batch)
            began = time.perf_counter()
            method.loss(batch, actual, expected).total().backward()
            spent += time.perf_counter() - began
        return spent / len(rows)

    def _leaves(self, model: Any, batch: Batch) -> Outputs:
        """The student's outputs, cut off from the student."""
        output_spec: OutputSpec = self.method.student_outputs()
        output_spec = output_spec.resolved(self.prepared.student.dims).without(Logits)
        with torch.no_grad():
            out = forward(model, batch, output_spec=output_spec)

        def leaf(value: Tensor) -> Tensor:
            return value.detach().requires_grad_()

        logits = leaf(out.logits)
        return Outputs(
            logits=logits,
            task_loss=F.cross_entropy(logits, batch.labels),
            values={signal: leaf(out.read(signal)) for signal in output_spec},
        )


def measure(name: str, methods: list[str], folder: Path) -> list[str]:
    """The lines of one student."""
    prepared = prepared_with(*STUDENTS[name], methods, folder)
    task = registry.load("tasks", TASK)
    losses = {
        m: LossBench(
            prepared, build_method(trial_config(method=m, coefficients=METHODS[m]), prepared, task)
        )
        for m in methods
    }
    paddings = {m: bench.method.teacher_outputs().context_padding for m, bench in losses.items()}
    bare: dict[str, list[float]] = {m: [] for m in methods}
    slot: dict[str, list[float]] = {m: [] for m in methods}
    loss: dict[str, list[float]] = {m: [] for m in methods}
    for bench in open_bench(prepared, 1, folder / name):
        for seed in range(ROUNDS):
            for method in methods:
                bare[method].append(bare_seconds(prepared, paddings[method], seed))
                slot[method].append(slot_seconds(bench, method, seed))
                loss[method].append(losses[method].seconds(seed))
    lines = []
    task_loss = statistics.median(loss["none"]) if "none" in loss else 0.0
    for method in methods:
        alone = statistics.median(bare[method])
        whole = statistics.median(slot[method])
        own = max(0.0, statistics.median(loss[method]) - task_loss)
        pairs = list(zip(bare[method], slot[method], strict=True))
        apart = statistics.median(b / (s - own) for b, s in pairs)
        together = statistics.median(b / s for b, s in pairs)
        lines.append(
            f"student {name}, {method}: bare {1e3 * alone:.2f} ms a step, in a slot "
            f"{1e3 * whole:.2f} ms, of which the loss {1e3 * own:.2f} ms "
            f"({own / alone:.3f} of a bare step)"
        )
        lines.append(f"ratio {name} {method} / bare, loss apart: {apart:.3f}")
        lines.append(f"ratio {name} {method} / bare, with its loss: {together:.3f}")
    return lines


def main() -> None:
    """Print steps per second and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, connected(None):
        for name in given.students:
            print("\n".join(measure(name, given.methods, Path(folder) / name)), flush=True)


if __name__ == "__main__":
    main()
