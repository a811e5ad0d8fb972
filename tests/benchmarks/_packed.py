"""Several students of one cell in one process: one after the other, interleaved, or stacked.

All of them have one shape, one seed and one order of batches, and differ in their coefficients and
learning rates. The two packed forms pad a batch once and look the teacher up once for all students.
Their losses, clipping, rates and weight updates are those of raykd itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from raykd.data.base import Batch, Task
from raykd.data.collate import Collator
from raykd.methods.base import LossTerms, Reader, Signals
from raykd.models.base import Outputs, Part
from raykd.models.forward import forward
from raykd.params import build
from raykd.results.records import Evaluation
from raykd.teachers.prepare import Prepared
from raykd.teachers.serve import Teacher
from raykd.training.batches import LengthGroupedBatches, stream
from raykd.training.device import World, choose_precision
from raykd.training.loop import FitJob, fit, override_dropout
from raykd.training.optim import Optimizer
from raykd.training.seeding import derive_seed, seed_everything
from raykd.training.settings import TrainSettings
from raykd.training.terms import TermLedger
from raykd.trial.run import TrialConfig, build_method


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What all students share.

    Attributes:
        prepared: Rows, recorded teacher, how students begin.
        task: The task they belong to.
        teacher: The teacher, opened on the device of `world`.
        world: One rank on some device.
        clock: Seconds; read when the device has finished.
    """

    prepared: Prepared
    task: Task
    teacher: Teacher
    world: World
    clock: Callable[[], float]

    def collator(self, margin: int) -> Collator:
        """The collator that a trial of this cell gets."""
        return Collator(self.prepared.pad_id, max_length=self.prepared.max_length, margin=margin)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
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


Form = Callable[[Cell, Sequence[TrialConfig]], Trained]
"""A way to train several students."""


def sequential(cell: Cell, configs: Sequence[TrialConfig]) -> Trained:
    """One training after the other, as trials in a slot."""
    seconds, rows = 0.0, 0
    terms: list[tuple[Mapping[str, float], ...]] = []
    for config in configs:
        seed_everything(config.seed)
        settings = build(TrainSettings, config.train)
        method = build_method(config, cell.prepared, cell.task)
        marks: list[float] = []

        def report(evaluation: Evaluation, marks: list[float] = marks) -> bool:
            marks.append(cell.clock())
            return False

        result = fit(
            FitJob(
                model=cell.prepared.student.build(config.seed).to(cell.world.device),
                method=method,
                task=cell.task,
                train=cell.prepared.splits["train"],
                select=None,  # scoring is the same in all forms, and not what is measured
                teacher=cell.teacher.reader(method.signals()),
                settings=settings,
                collator=cell.collator(method.signals().margin),
                seed=config.seed,
                world=cell.world,
                report=report,
            )
        )
        seconds += marks[-1] - marks[0]
        rows += (len(marks) - 1) * len(cell.prepared.splits["train"])
        terms.append(tuple(evaluation.terms for evaluation in result.history))
    return Trained(seconds=seconds, rows=rows, terms=tuple(terms))


def interleaved(cell: Cell, configs: Sequence[TrialConfig]) -> Trained:
    """Every batch through one student after the other."""
    students = [_Student(cell, config) for config in configs]

    def step(batch: Batch, teacher: Reader, number: int) -> None:
        found = []
        for student in students:
            with student.alone():
                found.append(student.terms(batch, student.outputs, teacher))
                torch.autograd.backward(found[-1].sum())
                student.optimizer.step(number)
        for student, values in zip(students, found, strict=True):
            student.join()
            student.note(values, number)

    return _train(cell, students, step)


def stacked(cell: Cell, configs: Sequence[TrialConfig]) -> Trained:
    """One forward and one backward of all students at once, their weights stacked."""
    students = [_Student(cell, config) for config in configs]
    stack = _Stack(students)

    def step(batch: Batch, teacher: Reader, number: int) -> None:
        found = []
        for student, outputs in zip(students, stack.outputs(batch), strict=True):
            own = student.scored(outputs, batch)
            found.append(student.terms(batch, lambda batch, part=None, own=own: own, teacher))
        # The students have no weights in common: the sum gives each its own gradient.
        torch.autograd.backward(torch.cat(found).sum())
        stack.hand_out_gradients()
        for student, values in zip(students, found, strict=True):
            student.optimizer.step(number)
            student.note(values, number)

    return _train(cell, students, step)


class _Student:
    """One training, taken apart so that steps of several can be mixed."""

    def __init__(self, cell: Cell, config: TrialConfig) -> None:
        seed_everything(config.seed)
        self.seed = config.seed
        self.settings = build(TrainSettings, config.train)
        self.method = build_method(config, cell.prepared, cell.task)
        if self.method.modules() is not None:
            raise ValueError(f"method {config.method} trains modules of its own")
        self.model: Any = cell.prepared.student.build(config.seed).to(cell.world.device).train()
        if self.settings.dropout is not None:
            override_dropout(self.model, self.settings.dropout)
        self.precision = choose_precision(self.settings.precision, cell.world.device, self.model)
        rows = cell.prepared.splits["train"].lengths()
        self.batches = LengthGroupedBatches(
            lengths=rows, batch_size=self.settings.batch_size, seed=config.seed
        )
        total = self.settings.epochs * len(self.batches)
        self.optimizer = Optimizer(self.model, self.settings, total)
        self.ledger = TermLedger(cell.world)
        layers = self.method.student_signals().hidden_states
        assert layers != "all"
        self.layers = layers
        self._task = cell.task
        self._names: tuple[str, ...] = ()
        self._cuda = cell.world.device if cell.world.device.type == "cuda" else None
        self._stream: Any = torch.cuda.Stream(self._cuda) if self._cuda is not None else None
        seed_everything(derive_seed(config.seed, "train", 0))
        self._drawn = self._states()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Work of this student: its own random numbers and, on a GPU, a stream of its own."""
        torch.set_rng_state(self._drawn[0])
        if self._stream is None or self._cuda is None:
            yield
        else:
            torch.cuda.set_rng_state(self._drawn[1], self._cuda)
            shared = torch.cuda.current_stream(self._cuda)
            # Batch and teacher are made on the shared stream, and their memory is reused there.
            self._stream.wait_stream(shared)
            with torch.cuda.stream(self._stream):
                yield
        self._drawn = self._states()

    def join(self) -> None:
        """Let the shared stream wait for this student's."""
        if self._stream is not None:
            torch.cuda.current_stream(self._cuda).wait_stream(self._stream)

    def outputs(self, batch: Batch, part: Part | None = None) -> Outputs:
        """This student's own forward."""
        with self.precision.autocast():
            found = forward(self.model, batch, hidden_states=self.layers, part=part)
        return self.scored(found, batch)

    def scored(self, found: Outputs, batch: Batch) -> Outputs:
        """Outputs with the task loss."""
        return found.scored(self._task.loss(found.logits.float(), batch))

    def terms(self, batch: Batch, student: Callable[..., Outputs], teacher: Reader) -> Tensor:
        """The values of the loss terms."""
        terms: LossTerms = self.method.step(batch, student, teacher)
        self._names = tuple(terms)
        return torch.stack([term.float() for term in terms.values()])

    def note(self, values: Tensor, number: int) -> None:
        """Keep the terms of a step for the mean of the epoch."""
        self.ledger.add(self._names, values.detach(), number + 1)

    def _states(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        return [*states, torch.cuda.get_rng_state(self._cuda)] if self._cuda is not None else states


class _Stack:
    """The weights of several students as one tensor each; the students' own become views of it."""

    def __init__(self, students: Sequence[_Student]) -> None:
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
            found: tuple[Tensor, ...] = functional_call(self._first, named, (batch,))
            return found

        found = vmap(one, randomness="different")(self._weights)
        logits, *hidden = (values.unbind() for values in found)
        return [
            Outputs(
                logits=logits[k],
                hidden_states={
                    layer: states[k]
                    for layer, states in zip(self._first.layers, hidden, strict=True)
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

    def __init__(self, student: _Student) -> None:
        super().__init__()
        self.model = student.model
        self.layers = student.layers
        self._precision = student.precision

    def forward(self, batch: Batch) -> tuple[Tensor, ...]:
        with self._precision.autocast():
            found = forward(self.model, batch, hidden_states=self.layers)
        return found.logits, *(found.hidden(k) for k in self.layers)


def _train(
    cell: Cell, students: Sequence[_Student], step: Callable[[Batch, Reader, int], None]
) -> Trained:
    """All epochs; what is computed for a batch before its first student is shared."""
    first = students[0]
    signals = Signals()
    for student in students:
        if (student.seed, student.settings.epochs) != (first.seed, first.settings.epochs):
            raise ValueError("students of a pack have one seed and one number of epochs")
        signals = signals.union(student.method.signals())
    read, collate = cell.teacher.reader(signals), cell.collator(signals.margin)
    train, number = cell.prepared.splits["train"], 0
    marks: list[float] = []
    terms: list[list[Mapping[str, float]]] = [[] for _ in students]
    for epoch in range(first.settings.epochs):
        for student in students:
            student.method.at_epoch(epoch, student.settings.epochs)
        rows = first.batches.epoch(epoch)
        for batch, _ in stream(rows, train, collate, device=cell.world.device):
            said = read(batch)
            step(batch, lambda batch, said=said: said, number)  # type: ignore[misc]
            number += 1
        for student, seen in zip(students, terms, strict=True):
            seen.append(student.ledger.means(number))
        marks.append(cell.clock())
    done = (len(marks) - 1) * len(train) * len(students)
    return Trained(
        seconds=marks[-1] - marks[0], rows=done, terms=tuple(tuple(seen) for seen in terms)
    )
