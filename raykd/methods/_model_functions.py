"""How a method reads the teacher, runs the student and samples from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from raykd.data.base import Batch
from raykd.models.base import Outputs, Subnet

TeacherOutputsFn = Callable[[Batch], Outputs]
"""Returns the teacher's outputs for a batch, from the cache or by running it."""


@dataclass(frozen=True, slots=True)
class OnlineTeacherFn:
    """A `TeacherOutputsFn` that runs the teacher, so that any batch will do.

    Attributes:
        model: The teacher: evaluation mode, frozen weights.
        read: Returns its outputs for a batch.
    """

    model: nn.Module
    read: TeacherOutputsFn

    def __call__(self, batch: Batch) -> Outputs:
        """Its outputs."""
        return self.read(batch)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a student samples responses.

    Attributes:
        max_new_tokens: Maximum number of tokens of a response.
        temperature: Sampling temperature.
        teacher: A model that is mixed into the sampling distribution.
        share: Of the teacher in this mixture.
    """

    max_new_tokens: int
    temperature: float
    teacher: nn.Module | None = None
    share: float = 0.0


class StudentFn(Protocol):
    """Runs the student on a batch."""

    def __call__(
        self, batch: Batch, subnet: Subnet | None = None, *, dropout: bool = True
    ) -> Outputs:
        """Outputs of the student, or of a subnet of it.

        Args:
            batch: What it reads.
            subnet: The subnet, None for the whole student.
            dropout: Whether dropout is on; a policy is the same when it acts and when it learns.
        """
        ...

    def generate(self, batch: Batch, sampling: Sampling) -> Batch:
        """The batch with responses sampled now from the student, without dropout and gradient.

        Args:
            batch: The generation continues its prompts.
            sampling: How to sample.
        """
        ...
