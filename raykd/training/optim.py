"""How weights move: AdamW, its learning rate at every step, the norm of its gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from raykd.training.settings import TrainSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """The learning rate as a function of the step.

    Attributes:
        peak: Highest rate.
        total: Steps of the whole training.
        warmup: Steps over which the rate rises.
        kind: ``linear`` (falls towards 0) or ``constant``.
    """

    peak: float
    total: int
    warmup: int
    kind: str

    @classmethod
    def of(cls, settings: TrainSettings, total: int) -> Schedule:
        """The schedule that the settings describe for a training of `total` steps."""
        warmup = math.ceil(settings.warmup_ratio * total)
        return cls(peak=settings.lr, total=total, warmup=warmup, kind=settings.schedule)

    def rate(self, step: int) -> float:
        """The rate of one step (from 0).

        It rises as ``(step + 1) / warmup``, so that no step is spent at rate 0, and then falls as
        ``(total - step) / (total - warmup)``: the peak is held for two steps.
        """
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        if self.kind == "constant":
            return self.peak
        return self.peak * (self.total - step) / (self.total - self.warmup)


def decay_groups(
    parameters: Iterable[nn.Parameter], weight_decay: float
) -> list[dict[str, object]]:
    """Trainable parameters in two groups: matrices decay, vectors do not.

    Biases and normalisation weights are exactly the parameters with fewer than two axes.
    """
    trained = [p for p in parameters if p.requires_grad]
    groups: list[dict[str, object]] = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


class Optimizer:
    """AdamW with clipping and a schedule; one call per step, nothing waits for the device.

    Args:
        module: What is trained; parameters without gradient are left out.
        settings: Rate, decay, epsilon, clipping.
        total_steps: Steps of the whole training.
    """

    def __init__(self, module: nn.Module, settings: TrainSettings, total_steps: int) -> None:
        self.schedule = Schedule.of(settings, total_steps)
        self.max_norm = settings.max_grad_norm
        self._weight_decay = settings.weight_decay
        self.adamw = torch.optim.AdamW(
            decay_groups(module.parameters(), settings.weight_decay),
            lr=settings.lr,
            eps=settings.adam_epsilon,
            fused=True,
        )
        self._trained = [p for group in self.adamw.param_groups for p in group["params"]]

    def decay(self, steps: int) -> float:
        """What so many steps multiply a matrix with that has no gradient."""
        factor = 1.0
        for step in range(steps):
            factor *= 1.0 - self.schedule.rate(step) * self._weight_decay
        return factor

    def step(self, step: int) -> None:
        """Clip, move the weights with the rate of `step` (from 0), and forget the gradients."""
        if self.max_norm is not None:
            gradients = [p.grad for p in self._trained if p.grad is not None]
            norm = nn.utils.get_total_norm(gradients, foreach=True)
            # The fused kernel divides by this in its own pass over the gradients, as it does for
            # torch's GradScaler; clipping beforehand would be a pass of its own.
            self.adamw.grad_scale = (norm / self.max_norm).clamp_(min=1.0)  # type: ignore[attr-defined]
        rate = self.schedule.rate(step)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        self.forget()

    def forget(self) -> None:
        """Drop the gradients."""
        for parameter in self._trained:
            parameter.grad = None
