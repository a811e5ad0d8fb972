"""What makes a trial faster than one written by hand, one change after the other.

``python -m tests.benchmarks.gain_apart [--only glue/sst2:3x384]``. The same trial of the real rows
of `naive_sweep`, in this process with all cores as threads: first as its baseline B runs it, then
with the teacher's logits looked up, then in raykd's loop (fused AdamW, only the rows of the
vocabulary that occur), then with rows grouped by length, then in bf16. At last as slots run it: as
many trials at a time as there are cores, with one thread each. Ratios are throughput against B; the
scores are those of the same trial each time, and differ by rounding and by the order of rows.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from raykd import registry
from raykd.sweep.in_process import prepare_task, run_in_process
from raykd.teachers.prepared_task import PreparedTask
from raykd.trial.run import TrialConfig
from tests.benchmarks._by_hand import Job, online, served, train_one
from tests.benchmarks._prepared import hand_over, teacher_in
from tests.benchmarks.naive_sweep import BATCH, ROWS, STUDENTS, TASKS, TEACHER, space
from tests.outside_data import outside_data

EPOCHS = 2
TRIAL = {"alpha": 0.7, "temperature": 2.0, "lr": 1e-4, "seed": 11}


def in_raykd(
    prepared: PreparedTask, *, grouped: bool, precision: str, threads: int
) -> tuple[float, float]:
    """Seconds and accuracy of the trial in raykd's loop, in this process."""
    torch.set_num_threads(threads)
    config = TrialConfig(
        trial_id="t", task=prepared.task, arm="kd", method="kd", number=0, stage="search",
        coefficients={"alpha": TRIAL["alpha"], "temperature": TRIAL["temperature"]},
        train={
            "epochs": EPOCHS, "batch_size": BATCH, "lr": TRIAL["lr"], "precision": precision,
            "length_grouping": grouped,
        },
        seed=int(TRIAL["seed"]),
    )  # fmt: skip
    began = time.perf_counter()
    task = registry.load("tasks", prepared.task)
    outcome = run_in_process(config, prepared, task, lambda evaluation: None)
    return time.perf_counter() - began, outcome.metrics["accuracy"]


def by_hand(job: Job, prepared: PreparedTask, teacher: Any) -> tuple[float, float]:
    """Seconds and accuracy of the trial as baseline B runs it."""
    began = time.perf_counter()
    accuracy = train_one(job, prepared, teacher, TRIAL, fixed_length=None)
    return time.perf_counter() - began, accuracy


def one_of_several(prepared: PreparedTask) -> tuple[float, float]:
    """The trial in a process of one thread; the second one, when the process is warm."""
    for _ in range(2):
        actual = in_raykd(prepared, grouped=True, precision="auto", threads=1)
    return actual


def as_slots_do(prepared: PreparedTask, cores: int) -> tuple[float, float]:
    """Seconds of a trial when as many as there are cores run at a time, divided by their number."""
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        actual = list(pool.map(one_of_several, [prepared] * cores))
    return max(seconds for seconds, _ in actual) / cores, actual[0][1]


def apart(task: str, student: str, root: Path) -> None:
    """Print the lines of one task and student."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        own = {"model": TEACHER, "finetune": {"epochs": 1, "lr": 1e-4}}
        spec = space(task, student, 1, own, root, ROWS)
        _, prepared, _ = prepare_task(spec, task, Path(name), lambda *progress: None)
        job = Job(
            teacher=str(teacher_in(Path(name))),
            task=hand_over(prepared, Path(name) / "prepared"),
            epochs=EPOCHS, batch_size=BATCH, trials=(),
        )  # fmt: skip
        torch.set_num_threads(cores)
        one_epoch = replace(job, epochs=1)
        by_hand(one_epoch, prepared, served(prepared))  # the process is warm
        steps: Mapping[str, Callable[[], tuple[float, float]]] = {
            "B, by hand": lambda: by_hand(job, prepared, online(job)),
            "+ teacher looked up": lambda: by_hand(job, prepared, served(prepared)),
            "+ raykd's loop": lambda: in_raykd(
                prepared, grouped=False, precision="fp32", threads=cores
            ),
            "+ grouped by length": lambda: in_raykd(
                prepared, grouped=True, precision="fp32", threads=cores
            ),
            "+ bf16": lambda: in_raykd(prepared, grouped=True, precision="auto", threads=cores),
            "+ a process per core": lambda: as_slots_do(prepared, cores),
        }
        print(f"{task}, student {student}, {len(prepared.splits['train']):,} rows, {EPOCHS} epochs")
        first = before = 0.0
        for what, run in steps.items():
            seconds, accuracy = run()
            first, before = first or seconds, before or seconds
            print(
                f"  {what:21} {seconds:7.1f} s a trial, ratio to B {first / seconds:5.2f}, to the "
                f"line above {before / seconds:5.2f}, accuracy {accuracy:.4f}",
                flush=True,
            )
            before = seconds


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="e.g. glue/sst2:3x384")
    given = parser.parse_args()
    for task in TASKS:
        for student in STUDENTS:
            if given.only in ("", f"{task}:{student}"):
                apart(task, student, outside_data("glue"))


if __name__ == "__main__":
    main()
