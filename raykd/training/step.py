"""One step of a training: from a batch to the loss that is minimised, on one rank or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from raykd.data.base import NO_LABEL, Array, Batch, Task
from raykd.methods.base import Method, TeacherOutputsFn
from raykd.models.base import Outputs
from raykd.models.generation import NO_TEXT, TextEnds
from raykd.training.device import DistributedContext, Precision
from raykd.training.ranks import StepRanks
from raykd.training.student_runner import StudentRunner
from raykd.training.terms import StepTerms, Totals, shares, step_of, totals


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """The result of one step on this rank.

    Attributes:
        loss: What this rank minimises; the mean of its gradient over the ranks is the step's.
        values: Terms and metrics times the share of this rank, ``[number of names]``.
        terms: Their names and counts.
        totals: Their counts on all ranks.
    """

    loss: Tensor
    values: Tensor
    terms: StepTerms
    totals: Totals


class Step(nn.Module):
    """Everything trained, as one module: from a batch to the values of the loss terms.

    The whole step is in `forward` because `DistributedDataParallel` must see every use of a
    parameter there, those of the method's own modules included.

    Args:
        model: The student.
        method: Gives the terms.
        task: Gives the loss on the labels.
        teacher: Gives the teacher's outputs.
        precision: Of matrix products.
        world: The ranks.
        text_ends: What ends the texts that the student writes, and pads them.
    """

    def __init__(
        self,
        model: nn.Module,
        method: Method[Any],  # a method's parameters are its own affair
        task: Task,
        teacher: TeacherOutputsFn,
        *,
        precision: Precision,
        world: DistributedContext,
        text_ends: TextEnds = NO_TEXT,
    ) -> None:
        super().__init__()
        self.model = model
        self.extra = method.modules()
        self._world = world
        self._method = method
        self._teacher = teacher
        self._token_labels = task.task_kind.labels_of == "token"
        self._terms: StepTerms | None = None
        self._student = StudentRunner(
            model,
            task,
            precision,
            context=method.context,
            output_spec=method.student_outputs().resolved(method.context.student),
            text_ends=text_ends,
        )

    def run(self, batch: Batch, rows: Array, trained: nn.Module | None = None) -> StepResult:
        """The loss of one step.

        Args:
            batch: This rank's part of the batch.
            rows: Row numbers of the batch on all ranks.
            trained: This module as it is wrapped for several ranks, None when it is not.
        """
        self._method.ranks = StepRanks(self._world, rows)
        values: Tensor = (trained or self)(batch)
        terms = self._terms
        assert terms is not None
        counted = totals(terms, self._world)
        if self._world.size > 1:
            values = values * shares(terms, counted, self._world)
        loss = values[: len(values) - terms.num_metrics].sum()
        return StepResult(loss=loss, values=values, terms=terms, totals=counted)

    def forward(self, batch: Batch) -> Tensor:
        """Loss terms and then metrics, float32 ``[number of names]``."""
        terms = self._method.step(batch, self._student, self._teacher)
        self._terms = step_of(
            terms,
            (batch.labels != NO_LABEL).sum() if self._token_labels else len(batch.labels),
            takes_part=self._method.ranks.takes_part,
            device=batch.labels.device,
        )
        return torch.stack([t.float() for t in (*terms.values(), *terms.metrics.values())])

    def forward_eval(self, batch: Batch) -> Outputs:
        """The student's outputs, as `forward` sees them."""
        return self._student(batch)
