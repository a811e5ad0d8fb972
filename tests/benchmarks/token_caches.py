"""What is kept of a teacher's distributions over a vocabulary, and what students learn from it.

``python -m tests.benchmarks.token_caches [--rows 1500] [--seeds 3] [--held-out 0.5]``. Real rows
of Dolly (``RAYKD_DATA``), a small GPT-2 with a vocabulary of 4,096 that is trained on them as the
teacher, and a smaller student from scratch that learns from the teacher alone (``kd_ratio: 1``),
from each cache with the same seeds, steps and rows. For each cache: bytes per token, the
divergence of what can be restored from the teacher, and the student's loss and divergence from the
teacher on held-out rows, as mean and standard deviation over the seeds. The baselines are all
scores, and fine-tuning without a teacher. ``distillkit`` is that project's small setting, on the
same scores: with the missing mass spread evenly, and (``distillkit:zero``) with what is kept made
to sum to 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from raykd.data.base import NO_LABEL
from raykd.data.collate import Collator
from raykd.losses.divergences import forward_kl
from raykd.losses.targets import TopKTeacherTarget
from raykd.methods.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.spec.load import load_spec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.prepared_task import PreparedTask
from raykd.training.device import DistributedContext
from tests.benchmarks import _polynomial
from tests.benchmarks._prepared import teacher_in
from tests.outside_data import outside_data

CACHES = ("dense", "hidden", "sampled:16", "sampled:64", "top_k:28", "top_k:64", "distillkit",
          "distillkit:zero")  # fmt: skip
TASK, PROBE = "dolly", 64
TEACHER = {"family": "gpt2", "layers": 3, "hidden": 192, "heads": 4, "vocabulary": 4096,
           "max_positions": 160, "dropout": 0.0}  # fmt: skip
STUDENT = TEACHER | {"layers": 1, "hidden": 96, "heads": 2}


def space(
    teacher: dict[str, Any], cache: str, rows: int, held_out: float, root: Path, folder: Path
) -> Any:
    """A search space with one arm for the teacher alone and one without it."""
    kind, _, size = cache.partition(":")
    if kind == "distillkit":
        kind, size = "top_k", str(_polynomial.COUNT)
    content = {
        "name": "token_caches",
        "tasks": [TASK],
        "data": {
            "root": str(root),
            "limit": rows,
            "max_length": 128,
            "select_on": {"split": "validation", "fraction": 0.2},
            "report_on": {"split": "test", "fraction": held_out},
        },
        "teacher": teacher | {"cache": kind} | ({"cache_size": int(size)} if size else {}),
        "student": {"model": STUDENT},
        "train": {"epochs": 3, "batch_size": 16, "lr": 2e-3},
        "methods": {"sft": {}, "kd": {"kd_ratio": 1.0}},
        "search": {"trials": 1},
    }
    path = folder / "space.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    return load_spec(path)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--held-out", type=float, default=0.5, help="share of the test rows")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--caches", nargs="+", choices=CACHES, default=list(CACHES))
    args = parser.parse_args(argv)
    root = outside_data(TASK)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tuned = {"model": TEACHER, "finetune": {"epochs": 6, "lr": 2e-3, "batch_size": 16}}
        spec = space(tuned, "hidden", args.rows, args.held_out, root, folder)
        _, first, _ = prepare_task(spec, TASK, folder, lambda *progress: None)
        checkpoint = {"checkpoint": str(teacher_in(folder))}
        print(
            f"teacher: loss {-first.metrics['test/log_likelihood']:.3f} on held-out rows; "
            f"{args.rows:,} train rows"
        )
        results: dict[str, list[tuple[float, float]]] = {}
        for cache in args.caches:
            spec = space(checkpoint, cache, args.rows, args.held_out, root, folder)
            setup, prepared, _ = prepare_task(spec, TASK, folder, lambda *progress: None)
            if cache == args.caches[0]:
                results["no teacher"] = _students(spec, "sft", setup, prepared, args.seeds)
                _show("no teacher", 0.0, math.nan, results["no teacher"])
            size = _bytes(prepared)
            if cache.startswith("distillkit"):
                prepared, size = _as_distillkit(prepared, zero=cache.endswith("zero"))
            results[cache] = _students(spec, "kd", setup, prepared, args.seeds)
            _show(cache, size, _restored(first, prepared), results[cache])
    base = statistics.mean(loss for loss, _ in results[args.caches[0]])
    for cache, actual in results.items():
        loss = statistics.mean(loss for loss, _ in actual)
        print(f"ratio of loss, {cache} / {args.caches[0]}: {loss / base:.4f}")


def _students(
    spec: Any, arm: str, setup: Any, prepared: PreparedTask, seeds: int
) -> list[tuple[float, float]]:
    """Loss and divergence from the teacher on held-out rows, by seed."""
    actual = []
    # Text would be written for the report, which is not what is asked here.
    task = dataclasses.replace(setup.task, max_new_tokens=1)
    for seed in range(seeds):
        trial = trial_of(spec, Path("."), TASK, arm, {})
        trial = dataclasses.replace(trial, seed=seed)
        outcome = run_in_process(trial, prepared, task, lambda evaluation: None)
        actual.append((-outcome.metrics["test/log_likelihood"], outcome.metrics["test/teacher_kl"]))
    return actual


def _bytes(prepared: PreparedTask) -> float:
    """Of what is kept, per token with a label."""
    assert prepared.cached_outputs is not None
    tokens = int((prepared.splits["train"].labels != NO_LABEL).sum())
    return sum(part.nbytes() for part in prepared.cached_outputs.parts.values()) / tokens


def _as_distillkit(prepared: PreparedTask, *, zero: bool) -> tuple[PreparedTask, float]:
    """What that setting restores in place of what was recorded, and its bytes per token."""
    assert prepared.cached_outputs is not None
    ids, logs = (prepared.cached_outputs.parts[f"tokens/{n}"] for n in ("ids", "log_probabilities"))
    size, restored = 0, []
    for of_ids, of_logs in zip(ids.chunks, logs.chunks, strict=True):
        whole = torch.from_numpy(of_ids.astype(np.int64))
        kept = _polynomial.packed(whole, torch.from_numpy(of_logs).float(), TEACHER["vocabulary"])
        size += kept.nbytes
        actual, values = _polynomial.unpacked(kept, TEACHER["vocabulary"])
        assert bool((actual == whole).all())
        values = F.log_softmax(values, dim=-1) if zero else values
        restored.append(values.half().numpy())
    tokens = sum(map(len, restored))
    changed = {"tokens/log_probabilities": logs.with_chunks(tuple(restored))}
    recorded = dataclasses.replace(
        prepared.cached_outputs, parts={**prepared.cached_outputs.parts, **changed}
    )
    return dataclasses.replace(prepared, cached_outputs=recorded), size / tokens


def _restored(exact: PreparedTask, kept: PreparedTask) -> float:
    """Divergence from the teacher to what a cache gives back, mean over some rows, in nats.

    The rest of top-k is spread evenly, with at least 1e-8 for all of it; draws give no
    distribution back.
    """
    rows = exact.splits["train"]
    batch = Collator(exact.pad_id, max_length=exact.max_length)(rows, torch.arange(PROBE).numpy())
    output_spec = OutputSpec(Logits())
    target = open_teacher(kept, DistributedContext()).outputs_fn(output_spec)(batch)
    teacher = open_teacher(exact, DistributedContext()).outputs_fn(output_spec)(batch).logits
    if kept.cached_outputs is not None and any(
        name.startswith("tokens/sampled") for name in kept.cached_outputs.names
    ):
        return math.nan
    if isinstance(target.target, TopKTeacherTarget):
        logs = target.target.log_probabilities
        missing = (1 - logs.exp().sum(-1, keepdim=True)).clamp_min(1e-8)
        spread = (missing / (teacher.shape[-1] - logs.shape[-1])).log()
        restored = spread.expand_as(teacher).scatter(-1, target.target.ids, logs)
        return float(forward_kl(restored, teacher).mean())
    return float(forward_kl(F.log_softmax(target.logits, -1), teacher).mean())


def _show(cache: str, size: float, restored: float, actual: list[tuple[float, float]]) -> None:
    parts = []
    for k, name in ((0, "loss"), (1, "divergence from the teacher")):
        values = [pair[k] for pair in actual]
        spread = statistics.stdev(values) if len(values) > 1 else math.nan
        parts.append(f"{name} {statistics.mean(values):.3f} ({spread:.3f})")
    print(f"{cache:15} {size:8,.0f} B a token, restored {restored:.4f} nats; {', '.join(parts)}",
          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
