"""Step metrics: what a training says of its steps, some of them at a time."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.data.base import Array

_KIB_OF_MAXRSS = 1 if sys.platform != "darwin" else 1 / 1024
"""What the system counts the memory of a process in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepPoint:
    """What is known of the steps since the last point.

    Attributes:
        step: Optimizer steps done.
        terms: Mean of each loss term, and of ``loss``, their sum.
        values: ``lr`` of the last step; ``gradient_norm`` of it, before clipping; ``tokens_per_s``,
            of all ranks, while they trained; ``memory_gib``, the most so far: of tensors on a GPU,
            of the process on a CPU.
    """

    step: int
    terms: Mapping[str, float]
    values: Mapping[str, float]


class StepMetrics:
    """Notes what steps are made of; nothing here waits for the device.

    Args:
        every: Steps between two points, 0 for none.
        lengths: Tokens of each train row, ``[N]``.
        device: Where this rank computes.
    """

    def __init__(self, every: int, lengths: Array, device: torch.device) -> None:
        self._every = every
        self._lengths = lengths
        self._device = device
        self._tokens = 0
        self._seconds = 0.0
        self._began = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether there is a point after so many steps; the same on every rank."""
        return bool(self._every) and step % self._every == 0

    def add(self, rows: Array) -> None:
        """Note a step.

        Args:
            rows: Row numbers of its batch, on all ranks.
        """
        if self._every:
            self._tokens += int(self._lengths[rows].sum())

    def pause(self) -> None:
        """Training waits: for an evaluation, until `resume`."""
        self._seconds += time.monotonic() - self._began

    def resume(self) -> None:
        """Training continues."""
        self._began = time.monotonic()

    def point(
        self, step: int, terms: Mapping[str, float], rate: float, norm: Tensor | None
    ) -> StepPoint:
        """The point after a step whose loss terms were read, so that the device is done with it.

        Args:
            step: Optimizer steps done.
            terms: Means of the loss terms.
            rate: The learning rate of the last step.
            norm: The norm of its gradients.
        """
        self.pause()
        values = {
            "lr": rate,
            "tokens_per_s": self._tokens / max(self._seconds, 1e-9),
            "memory_gib": _memory(self._device),
        }
        if norm is not None:
            values["gradient_norm"] = float(norm)
        self._tokens, self._seconds = 0, 0.0
        self.resume()
        return StepPoint(step=step, terms=terms, values=values)


def _memory(device: torch.device) -> float:
    """The most memory so far, GiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB_OF_MAXRSS / 2**20
