"""One step of a training: from a batch, in one pass or several, to its gradient on every rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from raykd.data.base import Array, Batch, Task
from raykd.errors import TrialError
from raykd.losses.terms import Count, LossTerms
from raykd.methods.base import Method, TeacherOutputsFn
from raykd.models.base import Outputs
from raykd.models.generation import NO_TEXT, TextEnds
from raykd.training.anatomy import LossAnatomy
from raykd.training.device import DistributedContext, Precision, together
from raykd.training.micro_batches import MicroBatch
from raykd.training.plans import plan_of
from raykd.training.ranks import StepRanks
from raykd.training.student_runner import StudentRunner
from raykd.training.terms import Foreseen, StepTerms, Totals, shares, step_of, totals


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What is known of a step on this rank, besides the gradients of its parameters.

    Attributes:
        values: Terms and metrics times the share of this rank, ``[number of names]``.
        terms: Their names, and what they counted on this rank.
        totals: Their counts on all ranks.
    """

    values: Tensor
    terms: StepTerms
    totals: Totals


class Step(nn.Module):
    """Everything trained, as one module: from a batch to its gradient.

    Args:
        model: The student, on the device of `world`, sharded or not.
        method: Gives the terms.
        task: Gives the loss on the labels.
        teacher: Gives the teacher's outputs.
        precision: Of matrix products.
        world: The ranks.
        text_ends: What ends the texts that the student writes, and pads them.
        packing: Whether short texts share a row, where the student can.

    Attributes:
        plan: Where weights and gradients are.
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
        packing: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.extra = method.modules()
        if self.extra is not None:
            self.extra.to(world.device)
        self.plan = plan_of(self, world)
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
            packing=packing,
        )

    def run(
        self, parts: Sequence[MicroBatch], rows: Array, anatomy: LossAnatomy | None = None
    ) -> StepResult:
        """Leave the gradient of the mean over a batch in the parameters, the same on every rank.

        Args:
            parts: The micro batches of the batch.
            rows: Its row numbers on all ranks.
            anatomy: Looks at the terms of the first micro batch.

        Raises:
            OutOfMemory: Memory ran out on one of the ranks, or on this one; on all of them.
            TrialError: Terms differ between ranks or passes.
        """
        ranks = StepRanks(self._world, rows, tuple(part.rows for part in parts))
        with together(self._world):
            self._method.ranks = ranks
            given = [part.batch for part in parts]
            batches = self._method.prepare(given, self._student, self._teacher)
            foreseen = self._foreseen(batches, ranks) if len(parts) > 1 else None
            passes = [
                self._pass(batch, ranks.at(number), foreseen)
                for number, batch in enumerate(batches)
            ]
            result = _together(passes, foreseen)
        names = (*result.terms.names, str(result.terms.num_metrics))
        if not self._world.agree(about=repr(sorted(names))):
            raise _other_terms("ranks", result.terms)
        if anatomy is not None:
            self._method.ranks = ranks.at(0)
            of = passes[0].terms
            of_all = shares(of, totals(of, self._world), self._world) if ranks.size > 1 else None
            terms = of.names[: of.num_terms]
            anatomy.look(
                batches[0], terms, self._of_method, None if of_all is None else of_all[: len(terms)]
            )
        self.plan.average()
        return result

    def _foreseen(self, batches: Sequence[Batch], ranks: StepRanks) -> Foreseen:
        """What the passes of a step will count."""
        counts = []
        for number, batch in enumerate(batches):
            self._method.ranks = ranks.at(number)
            counts.append(self._method.counts(batch))
        self._world.agree()
        return Foreseen(
            counts,
            [self._plain(batch) for batch in batches],
            [ranks.at(number).takes_part for number in range(len(batches))],
            device=batches[0].labels.device,
            world=self._world,
        )

    def _pass(self, batch: Batch, ranks: StepRanks, foreseen: Foreseen | None) -> StepResult:
        """Add the gradient of one micro batch to those of the parameters."""
        self._method.ranks = ranks
        values: Tensor = self(batch)
        terms = self._terms
        assert terms is not None
        if foreseen is None:
            self._world.agree()
            counted = totals(terms, self._world)
        else:
            counted = foreseen.totals(terms.names)
        if self._world.size > 1 or foreseen is not None:
            values = values * shares(terms, counted, self._world)
        loss = values[: terms.num_terms].sum()
        torch.autograd.backward(self.plan.connected(loss))
        return StepResult(values=values.detach(), terms=terms, totals=counted)

    def forward(self, batch: Batch) -> Tensor:
        """Loss terms and then metrics, float32 ``[number of names]``."""
        terms = self._of_method(batch)
        self._terms = step_of(
            terms,
            self._plain(batch),
            takes_part=self._method.ranks.takes_part,
            device=batch.labels.device,
        )
        return torch.stack([t.float() for t in (*terms.values(), *terms.metrics.values())])

    def _of_method(self, batch: Batch) -> LossTerms:
        return self._method.step(batch, self._student, self._teacher)

    def _plain(self, batch: Batch) -> Count:
        """What a term counts that says nothing else: rows, or tokens with a label."""
        return len(batch.labelled if self._token_labels else batch.labels)

    def forward_eval(self, batch: Batch) -> Outputs:
        """The student's outputs, as `forward` sees them."""
        return self._student(batch)


def _together(passes: Sequence[StepResult], foreseen: Foreseen | None) -> StepResult:
    """The passes of a step as one."""
    first, *others = passes
    if foreseen is None:
        return first
    for other in others:
        if other.terms.names != first.terms.names:
            raise _other_terms("micro batches", other.terms)
    counts = torch.stack([one.terms.counts for one in passes]).sum(dim=0)
    return StepResult(
        values=torch.stack([one.values for one in passes]).sum(dim=0),
        terms=replace(first.terms, counts=counts),
        totals=foreseen.totals(first.terms.names, counts),
    )


def _other_terms(among: str, here: StepTerms) -> TrialError:
    return TrialError(
        f"the method named other loss terms on some {among}; here: {', '.join(here.names)}",
        hint="a term that does not apply to the rows at hand is Mean(0, count=0), not absent",
    )
