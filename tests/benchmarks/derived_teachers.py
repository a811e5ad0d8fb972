"""Trials that choose the same derived teacher run it once: forwards and time with and without.

``python -m tests.benchmarks.derived_teachers``. StarK on the generated task: `TRIALS` trials that
read `MASKS` different sparse teachers, in one slot. The baseline makes and records the sparse
teacher in every trial, which is what a trial does without a coordinator.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from raykd import registry
from raykd.clusters.connection import connected
from raykd.sweep.in_process import prepare_task, run_in_process
from raykd.teachers.prepared_task import PreparedTask
from raykd.trial.coordinator import answer
from raykd.trial.run import TrialConfig
from tests.integration.conftest import TASK, open_bench, tiny_spec, trial_config

TRIALS = 12
SPARSITIES = (30, 60)
TRAIN = {"epochs": 1, "batch_size": 32, "precision": "fp32"}


def prepared_in(folder: Path) -> PreparedTask:
    """A teacher 4x96 with its scores, and students of two of its layers."""
    plain = tiny_spec().as_dict()
    shape = {**plain["teacher"]["model"], "layers": 4, "hidden": 96, "heads": 4}
    spec = tiny_spec(
        data={**plain["data"], "limit": None, "student_rows": 2000},
        teacher={"model": shape, "finetune": {"epochs": 1, "lr": 1e-3, "batch_size": 64}},
        student={"from_teacher": {"layers": [0, 1], "weights": "finetuned"}},
        methods={"stark": {"name": "stark", "method": "stark", "fixed": {"trial_epochs": 1}}},
    )
    return prepare_task(spec, TASK, folder, lambda *progress: None)[1]


def config(number: int) -> TrialConfig:
    """One trial; its sparsity repeats."""
    coefficients: dict[str, Any] = {
        "sparsity": SPARSITIES[number % len(SPARSITIES)], "lam": 0.5, "trial_epochs": 1,
        "soft_weight": 0.1 + 0.05 * number,
    }  # fmt: skip
    return trial_config(
        method="stark", coefficients=coefficients, train={**TRAIN, "lr": 1e-3},
        trial_id=f"t{number}",
    )  # fmt: skip


def main() -> None:
    """Print rows passed through sparse teachers and seconds, and their ratios."""
    with tempfile.TemporaryDirectory() as name, connected(None):
        folder = Path(name)
        prepared = prepared_in(folder / "cache")
        rows = len(prepared.splits["train"])
        for bench in open_bench(prepared, 1, folder):
            bench.run(config(0))  # the slot is warm
            began = time.monotonic()
            for number in range(TRIALS):
                end = bench.run(config(number))[-1]
                if end["kind"] != "done":
                    raise RuntimeError(end["error"])
            shared = time.monotonic() - began
            notifications = answer(bench.coordinator.notifications.remote(0, 0.0))
        reported = [n for n in notifications if n["kind"] == "derived_teacher"]
        forwards = sum(n["rows"] for n in reported)
        task = registry.load("tasks", TASK)
        began = time.monotonic()
        for number in range(TRIALS):
            run_in_process(config(number), prepared, task, lambda evaluation: None)
        alone = time.monotonic() - began
    print(f"{TRIALS} trials, {len(SPARSITIES)} masks, {rows:,} train rows")
    print(f"shared: {forwards:,} rows through sparse teachers, {shared:.1f} s")
    print(f"made in every trial: {TRIALS * rows:,} rows, {alone:.1f} s")
    print(f"ratio of rows: {TRIALS * rows / forwards:.1f}")
    print(f"ratio of seconds: {alone / shared:.2f}")


if __name__ == "__main__":
    main()
