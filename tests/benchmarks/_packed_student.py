"""One student of a case, taken apart so that steps of several can be mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from raykd.data.base import Batch, Task
from raykd.data.collate import Collator
from raykd.methods.base import LossTerms, TeacherOutputsFn
from raykd.models.base import Outputs, Subnet
from raykd.models.dropout import set_dropout
from raykd.models.forward import forward
from raykd.models.signals.hidden_states import HiddenState, hidden_states
from raykd.params import build
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.teacher import Teacher
from raykd.training.batches import LengthGroupedBatches
from raykd.training.device import DistributedContext, choose_precision
from raykd.training.optim import Optimizer
from raykd.training.seeding import derive_seed, seed_everything
from raykd.training.settings import TrainSettings
from raykd.training.terms import LossTracker, StepTerms, step_of, totals
from raykd.trial.run import TrialConfig, build_method


@dataclass(frozen=True, kw_only=True, slots=True)
class PackingCase:
    """What all students share.

    Attributes:
        prepared: Rows, recorded teacher, how students begin.
        task: The task they belong to.
        teacher: The teacher, opened on the device of `world`.
        world: One rank on some device.
        clock: Seconds; read when the device has finished.
    """

    prepared: PreparedTask
    task: Task
    teacher: Teacher
    world: DistributedContext
    clock: Callable[[], float]

    def collator(self, context_padding: int) -> Collator:
        """The collator that a trial of this case gets."""
        return Collator(
            self.prepared.pad_id,
            max_length=self.prepared.max_length,
            context_padding=context_padding,
        )


class Student:
    """One training: what `fit` holds, with its steps left to the caller."""

    def __init__(self, case: PackingCase, config: TrialConfig) -> None:
        seed_everything(config.seed)
        self.seed = config.seed
        self.settings = build(TrainSettings, config.train)
        self.method = build_method(config, case.prepared, case.task)
        if self.method.modules() is not None:
            raise ValueError(f"method {config.method} trains modules of its own")
        self.model: Any = case.prepared.student.build(config.seed).to(case.world.device).train()
        if self.settings.dropout is not None:
            set_dropout(self.model, self.settings.dropout)
        self.precision = choose_precision(self.settings.precision, case.world.device, self.model)
        rows = case.prepared.splits["train"].lengths()
        self.batches = LengthGroupedBatches(
            lengths=rows, batch_size=self.settings.batch_size, seed=config.seed
        )
        total = self.settings.epochs * len(self.batches)
        self.optimizer = Optimizer(self.model, self.settings, total)
        self.loss_tracker = LossTracker(case.world)
        output_spec = self.method.student_outputs().resolved(self.method.context.student)
        self.layers = tuple(s.layer for s in output_spec if isinstance(s, HiddenState))
        self._task = case.task
        self._found: StepTerms | None = None
        self._cuda = case.world.device if case.world.device.type == "cuda" else None
        stream: Any = torch.cuda.Stream
        self._stream = stream(self._cuda) if self._cuda is not None else None
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

    def outputs(self, batch: Batch, subnet: Subnet | None = None) -> Outputs:
        """This student's own forward."""
        with self.precision.autocast():
            actual = forward(
                self.model, batch, subnet=subnet, output_spec=hidden_states(self.layers)
            )
        return self.scored(actual, batch)

    def scored(self, actual: Outputs, batch: Batch) -> Outputs:
        """Outputs with the task loss."""
        return actual.scored(self._task.loss(actual.logits.float(), batch))

    def terms(
        self, batch: Batch, student: Callable[..., Outputs], teacher: TeacherOutputsFn
    ) -> Tensor:
        """The values of the loss terms."""
        terms: LossTerms = self.method.step(batch, student, teacher)
        device = batch.labels.device
        self._found = step_of(terms, len(batch.labels), takes_part=True, device=device)
        return torch.stack([term.float() for term in terms.values()])

    def note(self, values: Tensor, number: int) -> None:
        """Keep the terms of a step for the mean of the epoch."""
        assert self._found is not None
        counted = totals(self._found, self.loss_tracker.world)
        self.loss_tracker.add(self._found, counted, values.detach(), number + 1)

    def _states(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        return [*states, torch.cuda.get_rng_state(self._cuda)] if self._cuda is not None else states
