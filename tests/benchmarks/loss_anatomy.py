"""What it costs to look at the terms of a loss apart, in a few steps of a training.

``python -m tests.benchmarks.loss_anatomy [--students 3x384] [--methods kd ckd]``. The same training
with and without the looks, in turns in this process with one thread, in CPU time; medians of the
rounds are compared. Evaluations are on 16 rows, so that they hide nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from raykd import registry
from raykd.data.collate import Collator
from raykd.params import build
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.prepared_task import PreparedTask
from raykd.training import anatomy
from raykd.training.anatomy import SAMPLES
from raykd.training.device import DistributedContext
from raykd.training.loop import TrainJob, train_model
from raykd.training.settings import TrainSettings
from raykd.trial.run import build_method
from tests.benchmarks.step_rate import METHODS, STUDENTS, TRAIN, prepared_with
from tests.integration.conftest import TASK, trial_config

ROUNDS = 3
APART = 100
"""Steps for each look here, so that some are in a training; a sweep looks more rarely."""
LOOKED_AT = ("kd", "pkd", "tinybert", "ckd")


def train(prepared: PreparedTask, name: str, seed: int, samples: int) -> tuple[float, int, int]:
    """Seconds of a training, its steps, and the terms that were seen."""
    torch.set_num_threads(1)
    task, world = registry.load("tasks", TASK), DistributedContext(device=torch.device("cpu"))
    method = build_method(trial_config(method=name, coefficients=METHODS[name]), prepared, task)
    outputs, context_padding = method.teacher_outputs(), method.teacher_outputs().context_padding
    job = TrainJob(
        model=prepared.student.build(seed), method=method, task=task,
        train=prepared.splits["train"], validation=prepared.splits["validation"],
        teacher=open_teacher(prepared, world).outputs_fn(outputs, method.feature_transforms()),
        settings=build(TrainSettings, TRAIN), seed=seed, world=world, samples=samples,
        collator=Collator(
            prepared.pad_id, max_length=prepared.max_length, context_padding=context_padding
        ),
        on_evaluation=lambda evaluation: False,
    )  # fmt: skip
    began = time.process_time()
    result = train_model(job)
    seen = result.history[-1].anatomy
    return time.process_time() - began, result.steps, sum(n.startswith("norm ") for n in seen)


def measure(prepared: PreparedTask, name: str) -> str:
    """A line about one method."""
    with_it, without, steps, terms = [], [], 0, 0
    for seed in range(ROUNDS):
        seconds, steps, terms = train(prepared, name, seed, SAMPLES)
        with_it.append(seconds)
        without.append(train(prepared, name, seed, 0)[0])
    more = statistics.median(a - b for a, b in zip(with_it, without, strict=True))
    alone = statistics.median(without)
    looks = min(SAMPLES, steps // APART)
    return (
        f"{name}, {terms} terms: {100 * more / alone:.1f} % of a training of {steps} steps "
        f"({alone:.2f} s), or {more * steps / alone / looks:.1f} steps for each look"
    )


def main() -> None:
    """Print the cost for some methods and students."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    parser.add_argument("--methods", nargs="+", choices=LOOKED_AT, default=list(LOOKED_AT))
    given = parser.parse_args()
    anatomy.APART = APART
    with tempfile.TemporaryDirectory() as folder:
        for student in given.students:
            prepared = prepared_with(*STUDENTS[student], given.methods, Path(folder) / student)
            for name in given.methods:
                print(f"student {student}, {measure(prepared, name)}", flush=True)


if __name__ == "__main__":
    main()
