"""What a trained student is measured by, in addition to the evaluations of its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from raykd.data.base import Task, TokenizedDataset
from raykd.data.bits_per_byte import bits_per_byte
from raykd.methods.base import Method, OutputSpec
from raykd.models.base import Subnet
from raykd.models.signals.logits import Logits
from raykd.teachers.open_teacher import open_offline
from raykd.teachers.prepared_task import PreparedTask
from raykd.training.evaluate import Scored, score, score_by_row, teacher_divergence
from raykd.training.inference import InferenceSetup
from raykd.training.latency import latency_ms
from raykd.training.memory_use import memory_mb


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """Which measurements are wanted.

    Attributes:
        test: Whether to score the test split.
        row_metric: The metric whose outcome on each test row is kept then; empty for none.
        costs: Which of `COSTS` to measure.
    """

    test: bool
    row_metric: str
    costs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrainedStudent:
    """A trained student and everything its scoring needs."""

    model: nn.Module
    task: Task
    splits: Mapping[str, TokenizedDataset]
    setup: InferenceSetup

    def score(self, role: str, subnet: Subnet | None = None) -> Mapping[str, float]:
        """The task's metrics of the student, or of a subnet of it, on a role's rows."""
        return score(self.model, self.task, self.splits[role], self.setup, subnet)

    def score_by_row(self, role: str, metric: str) -> Scored:
        """The task's metrics on a role's rows, and what each row adds to one; none if empty."""
        if not metric:
            return Scored(self.score(role))
        return score_by_row(self.model, self.task, self.splits[role], self.setup, metric)


def _latency(student: TrainedStudent) -> float:
    """Milliseconds per row."""
    return latency_ms(student.model, student.splits["validation"], student.setup)


def _memory(student: TrainedStudent) -> float:
    """Megabytes of weights, and of a pass over the longest row."""
    return memory_mb(student.model, student.splits["validation"], student.setup)


def _parameters(student: TrainedStudent) -> float:
    """Weights, those of adapters included."""
    return float(sum(p.numel() for p in student.model.parameters()))


COSTS: Mapping[str, Callable[[TrainedStudent], float]] = {
    "latency_ms": _latency, "memory_mb": _memory, "parameters": _parameters,
}  # fmt: skip
"""What can be measured of every student, besides the metrics of its task."""


def measure(
    student: TrainedStudent, method: Method[object], prepared: PreparedTask, wanted: Measurements
) -> tuple[dict[str, float], Scored | None]:
    """Measure a student after its training.

    Returns:
        Metrics, and how the rows of the test split were answered; None where it was not scored.
    """
    metrics: dict[str, float] = {}
    of_test = None
    for subnet in method.subnets():
        at = f"@w{subnet.width:g}d{subnet.depth:g}"
        metrics |= {f"{name}{at}": v for name, v in student.score("validation", subnet).items()}
        if wanted.test:
            values = student.score("test", subnet)
            metrics |= {f"test/{name}{at}": v for name, v in values.items()}
    if wanted.test:
        for role in student.splits:
            stage, _, suffix = role.partition("_")
            if stage == "test":
                end = f"_{suffix}" if suffix else ""
                scored = student.score_by_row(role, "" if suffix else wanted.row_metric)
                density = bits_per_byte(scored.metrics, student.splits[role])
                both = {**scored.metrics, **density}
                metrics |= {f"test/{name}{end}": v for name, v in both.items()}
                of_test = of_test if suffix else scored
    if wanted.test and prepared.test_outputs is not None:
        teacher = open_offline(prepared, prepared.test_outputs, student.setup.world)
        metrics["test/teacher_kl"] = teacher_divergence(
            student.model,
            teacher.outputs_fn(OutputSpec(Logits())),
            student.splits["test"],
            student.setup,
        )
    metrics |= {name: COSTS[name](student) for name in wanted.costs}
    return metrics, of_test
