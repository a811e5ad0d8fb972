"""Several students of one case in one process: one after the other, interleaved, or stacked.

All of them have one shape, one seed and one order of batches, and differ in their coefficients and
learning rates. The two packed forms pad a batch once and look the teacher up once for all students.
Their losses, clipping, rates and weight updates are those of raykd itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from raykd.data.base import Batch
from raykd.methods.base import OutputSpec, TeacherOutputsFn
from raykd.models.base import Outputs
from raykd.models.forward import forward
from raykd.models.signals.hidden_states import HiddenState, hidden_states
from raykd.params import build
from raykd.results.records import Evaluation
from raykd.training.batches import stream
from raykd.training.loop import TrainJob, train_model
from raykd.training.seeding import seed_everything
from raykd.training.settings import TrainSettings
from raykd.trial.run import TrialConfig, build_method
from tests.benchmarks._packed_student import PackingCase, Student


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedTeacher:
    """What came of some students.

    Attributes:
        seconds: Of all students together, without the first epoch.
        rows: Rows that all students together have learnt from in that time.
        terms: For each student and each epoch the mean loss terms.
    """

    seconds: float
    rows: int
    terms: tuple[tuple[Mapping[str, float], ...], ...]

    @property
    def rate(self) -> float:
        """Rows per second, all students together."""
        return self.rows / self.seconds


Form = Callable[[PackingCase, Sequence[TrialConfig]], TrainedTeacher]
"""A way to train several students."""


def sequential(case: PackingCase, configs: Sequence[TrialConfig]) -> TrainedTeacher:
    """One training after the other, as trials in a slot."""
    seconds, rows = 0.0, 0
    terms: list[tuple[Mapping[str, float], ...]] = []
    for config in configs:
        seed_everything(config.seed)
        settings = build(TrainSettings, config.train)
        method = build_method(config, case.prepared, case.task)
        marks: list[float] = []

        def on_evaluation(evaluation: Evaluation, marks: list[float] = marks) -> bool:
            marks.append(case.clock())
            return False

        result = train_model(
            TrainJob(
                model=case.prepared.student.build(config.seed).to(case.world.device),
                method=method,
                task=case.task,
                train=case.prepared.splits["train"],
                validation=None,  # scoring is the same in all forms, and not what is measured
                teacher=case.teacher.outputs_fn(method.teacher_outputs()),
                settings=settings,
                collator=case.collator(method.teacher_outputs().context_padding),
                seed=config.seed,
                world=case.world,
                on_evaluation=on_evaluation,
            )
        )
        seconds += marks[-1] - marks[0]
        rows += (len(marks) - 1) * len(case.prepared.splits["train"])
        terms.append(tuple(evaluation.terms for evaluation in result.history))
    return TrainedTeacher(seconds=seconds, rows=rows, terms=tuple(terms))


def interleaved(case: PackingCase, configs: Sequence[TrialConfig]) -> TrainedTeacher:
    """Every batch through one student after the other."""
    students = [Student(case, config) for config in configs]

    def step(batch: Batch, teacher: TeacherOutputsFn, number: int) -> None:
        actual = []
        for student in students:
            with student.alone():
                actual.append(student.terms(batch, student.outputs, teacher))
                torch.autograd.backward(actual[-1].sum())
                student.optimizer.step(number)
        for student, values in zip(students, actual, strict=True):
            student.join()
            student.note(values, number)

    return _train(case, students, step)


def stacked(case: PackingCase, configs: Sequence[TrialConfig]) -> TrainedTeacher:
    """One forward and one backward of all students at once, their weights stacked."""
    students = [Student(case, config) for config in configs]
    stack = _Stack(students)

    def step(batch: Batch, teacher: TeacherOutputsFn, number: int) -> None:
        actual = []
        for student, outputs in zip(students, stack.outputs(batch), strict=True):
            own = student.scored(outputs, batch)
            actual.append(student.terms(batch, lambda batch, subnet=None, own=own: own, teacher))
        # The students have no weights in common: the sum gives each its own gradient.
        torch.autograd.backward(torch.cat(actual).sum())
        stack.hand_out_gradients()
        for student, values in zip(students, actual, strict=True):
            student.optimizer.step(number)
            student.note(values, number)

    return _train(case, students, step)


class _Stack:
    """The weights of several students as one tensor each; the students' own become views of it."""

    def __init__(self, students: Sequence[Student]) -> None:
        self._first = _Plain(students[0])
        models = [student.model for student in students]
        # Fused attention has no rule for a batch of models on every device: they would take turns.
        for model in models:
            model.set_attn_implementation("eager")
        self._weights, _ = stack_module_state(models)
        self._views: list[tuple[nn.Parameter, Tensor, int]] = []
        for k, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.data = self._weights[name].detach()[k]
                self._views.append((parameter, self._weights[name], k))
        self._count = len(models)

    def outputs(self, batch: Batch) -> list[Outputs]:
        """What every student says about the batch, without the task loss."""

        def one(weights: dict[str, Tensor]) -> tuple[Tensor, ...]:
            named = {f"model.{name}": value for name, value in weights.items()}
            actual: tuple[Tensor, ...] = functional_call(self._first, named, (batch,))
            return actual

        actual = vmap(one, randomness="different")(self._weights)
        logits, *hidden = (values.unbind() for values in actual)
        return [
            Outputs(
                logits=logits[k],
                values={
                    **{
                        HiddenState(k): v
                        for k, v in (
                            {
                                layer: states[k]
                                for layer, states in zip(self._first.layers, hidden, strict=True)
                            }
                        ).items()
                    }
                },
            )
            for k in range(self._count)
        ]

    def hand_out_gradients(self) -> None:
        """Give every student its part of the gradients."""
        for parameter, weight, k in self._views:
            parameter.grad = weight.grad[k] if weight.grad is not None else None
        for weight in self._weights.values():
            weight.grad = None


class _Plain(nn.Module):
    """A student as a function from a batch to tensors: logits, then hidden states."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.model = student.model
        self.layers = student.layers
        self._precision = student.precision

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        with self._precision.autocast():
            actual = forward(self.model, batch, output_spec=hidden_states(self.layers))
        return actual.logits, *(actual.hidden(k) for k in self.layers)


def _train(
    case: PackingCase,
    students: Sequence[Student],
    step: Callable[[Batch, TeacherOutputsFn, int], None],
) -> TrainedTeacher:
    """All epochs; what is computed for a batch before its first student is shared."""
    first = students[0]
    output_spec = OutputSpec()
    for student in students:
        if (student.seed, student.settings.epochs) != (first.seed, first.settings.epochs):
            raise ValueError("students of a pack have one seed and one number of epochs")
        output_spec = output_spec.union(student.method.teacher_outputs())
    read, collate = case.teacher.outputs_fn(output_spec), case.collator(output_spec.context_padding)
    train, number = case.prepared.splits["train"], 0
    marks: list[float] = []
    terms: list[list[Mapping[str, float]]] = [[] for _ in students]
    for epoch in range(first.settings.epochs):
        for student in students:
            student.method.at_epoch(epoch, student.settings.epochs)
        rows = first.batches.epoch(epoch)
        for batch, _ in stream(rows, train, collate, device=case.world.device):
            message = read(batch)
            step(batch, lambda batch, message=message: message, number)  # type: ignore[misc]
            number += 1
        for student, seen in zip(students, terms, strict=True):
            seen.append(student.loss_tracker.means(number))
        marks.append(case.clock())
    done = (len(marks) - 1) * len(train) * len(students)
    return TrainedTeacher(
        seconds=marks[-1] - marks[0], rows=done, terms=tuple(tuple(seen) for seen in terms)
    )
