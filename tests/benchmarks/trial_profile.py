"""Where the time of one trial goes.

``python -m tests.benchmarks.trial_profile [--students 3x384] [--methods kd ckd]``. One trial per
method in this process and one thread, on the generated task, with a recorded teacher twice as deep
as the student. Every part is timed by the clock around the call; what is left of the step is the
backward pass with the bookkeeping of the loop.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from raykd import registry
from raykd.teachers.open_teacher import open_teacher
from raykd.teachers.prepared_task import PreparedTask
from raykd.training import loop
from raykd.training.device import DistributedContext
from raykd.training.optim import Optimizer
from raykd.trial import run
from tests.benchmarks.step_rate import METHODS, STUDENTS, prepared_with
from tests.integration.conftest import TASK, trial_config

TRAIN = {"epochs": 3, "batch_size": 32, "lr": 1e-4, "precision": "fp32"}
PARTS = (
    "building the student", "padding batches", "looking up the teacher", "student forward", "loss",
    "optimizer", "evaluation",
)  # fmt: skip


class Clock:
    """Seconds by part; the parts inside another one are taken off it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted."""

        def call(*given: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            began = time.perf_counter()
            try:
                return function(*given, **named)
            finally:
                whole = time.perf_counter() - began
                self.spent[part] += whole - self._inner.pop()
                self._inner[-1] += whole

        return call


def profile(prepared: PreparedTask, method: str) -> tuple[float, Clock]:
    """Seconds of a trial, and of its parts."""
    torch.set_num_threads(1)
    clock = Clock()
    kind = registry.load("methods", method)
    world = DistributedContext(device=torch.device("cpu"))
    teacher = open_teacher(prepared, world)
    config = trial_config(method=method, coefficients=METHODS[method], train=TRAIN)
    factory = type(prepared.student)
    with (
        mock.patch.object(factory, "build", clock.timed("building the student", factory.build)),
        mock.patch.object(
            run.Collator, "__call__", clock.timed("padding batches", run.Collator.__call__)
        ),
        mock.patch.object(
            type(teacher), "_outputs", clock.timed("looking up the teacher", type(teacher)._outputs)
        ),
        mock.patch.object(loop, "forward", clock.timed("student forward", loop.forward)),
        mock.patch.object(kind, "loss", clock.timed("loss", kind.loss)),
        mock.patch.object(Optimizer, "step", clock.timed("optimizer", Optimizer.step)),
        mock.patch.object(loop, "score", clock.timed("evaluation", loop.score)),
    ):
        began = time.perf_counter()
        task = registry.load("tasks", TASK)
        run.run_trial(config, prepared, task, world, lambda evaluation: False, teacher)
        return time.perf_counter() - began, clock


def main() -> None:
    """Print a table per student."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=list(STUDENTS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for student in given.students:
            prepared = prepared_with(*STUDENTS[student], given.methods, Path(name) / student)
            for method in given.methods:
                whole, clock = profile(prepared, method)
                rest = whole - sum(clock.spent.values())
                shares = [(part, clock.spent[part]) for part in PARTS]
                shares.append(("backward and the loop", rest))
                reported = ", ".join(f"{part} {100 * s / whole:.1f} %" for part, s in shares)
                print(f"student {student}, {method}: {whole:.2f} s: {reported}", flush=True)


if __name__ == "__main__":
    main()
