"""Steps per second in a slot with the teacher served, against a bare loop with no teacher.

``python -m tests.benchmarks.step_rate``. The bare loop is what one would write by hand for the
student alone: the same batches padded the same way, fused AdamW with the same schedule and
clipping, no teacher, no Ray, in this process. Both use one thread and run in turns; the medians of
the rounds are compared.
"""

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from raykd.data.base import Encoded
from raykd.data.collate import Collator
from raykd.params import build
from raykd.spec.schema import ShapeSpec
from raykd.sweep.cluster import connected
from raykd.sweep.local import prepare_task
from raykd.teachers.prepare import Prepared
from raykd.training.batches import LengthGroupedBatches
from raykd.training.settings import TrainSettings
from tests.integration.conftest import TASK, Bench, open_bench, tiny_spec, trial_config

ROUNDS = 5
STUDENTS = {"1x48": (1, 48, 2), "3x384": (3, 384, 6)}
METHODS: dict[str, dict[str, Any]] = {
    "none": {},
    "kd": {"alpha": 0.7},
    "ckd": {"alpha": 0.7, "ltrdist": 0.0, "ltrangle": 0.0},
}
TRAIN = {"epochs": 4, "batch_size": 32, "lr": 1e-4, "precision": "fp32"}


def prepared_with(layers: int, hidden: int, heads: int, folder: Path) -> Prepared:
    """The toy task with a student of some size and the teacher's relations recorded."""
    shape = {"family": "bert", "layers": layers, "hidden": hidden, "heads": heads}
    plain = tiny_spec().as_dict()
    spec = tiny_spec(
        data={**plain["data"], "limit": None, "student_rows": 1600 if hidden < 100 else 320},
        teacher={
            "model": ShapeSpec(family="bert", layers=layers, hidden=96, heads=2).model_dump(),
            "finetune": {"epochs": 1, "lr": 1e-3, "batch_size": 64, "rows": 512},
        },
        student={"model": shape},
        methods={m: {"label": m, "method": m, "fixed": c} for m, c in METHODS.items()},
    )
    prepared = prepare_task(spec, TASK, folder, lambda *progress: None)[1]
    # Evaluations are not what is measured.
    select = first_rows(prepared.splits["select"], 16)
    return replace(prepared, splits={**prepared.splits, "select": select})


def first_rows(encoded: Encoded, count: int) -> Encoded:
    """The first rows of a split."""
    end = int(encoded.offsets[count])
    return Encoded(
        input_ids=encoded.input_ids[:end],
        token_type_ids=encoded.token_type_ids[:end],
        offsets=encoded.offsets[: count + 1],
        labels=encoded.labels[:count],
    )


def bare_rate(prepared: Prepared, seed: int) -> float:
    """Steps per second of the hand-written loop, from the second epoch on."""
    torch.set_num_threads(1)
    settings = build(TrainSettings, TRAIN)
    model: Any = prepared.student.build(seed).train()
    data = prepared.splits["train"]
    batches = LengthGroupedBatches(
        lengths=data.lengths(), batch_size=settings.batch_size, seed=seed
    )
    collate = Collator(prepared.pad_id, max_length=prepared.max_length)
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
    return steps / (time.perf_counter() - began)


def slot_rate(bench: Bench, method: str, seed: int) -> float:
    """Steps per second of a trial, from the second epoch on, evaluations left out."""
    events = bench.run(
        trial_config(method=method, coefficients=METHODS[method], train=TRAIN, seed=seed)
    )
    if events[-1]["kind"] != "done":
        raise RuntimeError(events[-1]["error"])
    seen = [e["evaluation"] for e in events]
    steps = seen[-1]["step"] - seen[0]["step"]
    return float(steps / (seen[-1]["seconds"] - seen[0]["seconds"]))


def measure(name: str, folder: Path) -> list[str]:
    """The lines of one student."""
    prepared = prepared_with(*STUDENTS[name], folder)
    rates: dict[str, list[float]] = {"bare": [], **{m: [] for m in METHODS}}
    for bench in open_bench(prepared, 1, folder / name):
        for seed in range(ROUNDS):
            rates["bare"].append(bare_rate(prepared, seed))
            for method in METHODS:
                rates[method].append(slot_rate(bench, method, seed))
    bare = statistics.median(rates.pop("bare"))
    lines = [f"student {name}: bare loop {bare:.1f} steps/s"]
    for method, seen in rates.items():
        rate = statistics.median(seen)
        lines.append(f"student {name}: {method} in a slot {rate:.1f} steps/s")
        lines.append(f"ratio {name} {method} / bare: {rate / bare:.3f}")
    return lines


def main() -> None:
    """Print steps per second and ratios."""
    with tempfile.TemporaryDirectory() as folder, connected(None):
        for name in STUDENTS:
            print("\n".join(measure(name, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
