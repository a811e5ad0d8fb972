"""How weights move: the optimizer, its learning rate at every step, the norm of its gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from raykd.models.foreign_logs import quiet_bitsandbytes
from raykd.training.settings import ADAMW_8BIT, TrainSettings, check_optimizer

MOMENTUM = 0.9
"""Of ``sgd``."""
ELEMENTWISE = ("adamw", "sgd", "muon")
"""Optimizers that move a row of an embedding independently of its other rows; blocks of 8 bit
numbers share a scale."""


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


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: matrices decay, vectors do not.

    Biases and normalisation weights are exactly the parameters with fewer than two axes.
    """
    trained = [p for p in parameters if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


class Optimizer:
    """What moves the weights, with clipping and a schedule; nothing waits for the device.

    Args:
        module: What is trained; parameters without gradient are left out.
        settings: Optimizer, rate, decay, epsilon, clipping.
        total_steps: Steps of the whole training.
        norm: The norm of the gradients of some parameters; None: of those that are here.

    Attributes:
        trained: Its parameters, in the order of their numbers.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: TrainSettings,
        total_steps: int,
        norm: Callable[[Sequence[nn.Parameter]], Tensor] | None = None,
    ) -> None:
        self.schedule = Schedule.of(settings, total_steps)
        self.max_norm = settings.max_grad_norm
        self._weight_decay = settings.weight_decay
        self.parts = _OPTIMIZERS[settings.optimizer](module, settings)
        self._scales = settings.optimizer == "adamw"
        self._norm = norm or gradient_norm
        self.trained = [p for group in self._groups() for p in group["params"]]

    def _groups(self) -> Iterator[dict[str, Any]]:
        return (group for part in self.parts for group in part.param_groups)

    def decay(self, steps: int) -> float:
        """What so many steps multiply a matrix with that has no gradient."""
        factor = 1.0
        for step in range(steps):
            factor *= 1.0 - self.schedule.rate(step) * self._weight_decay
        return factor

    def step(self, step: int, *, wants_norm: bool = False) -> Tensor | None:
        """Clip, move the weights with the rate of `step` (from 0), and forget the gradients.

        Returns:
            The norm of the gradients before they were clipped, a scalar on the device; None where
            nothing is clipped and it is not wanted.
        """
        clips = self.max_norm is not None
        norm = self._norm(self.trained) if clips or wants_norm else None
        if norm is not None and self.max_norm is not None:
            factor = (norm / self.max_norm).clamp_(min=1.0)
            if self._scales:
                # The fused kernel divides by this in its own pass over the gradients, as it does
                # for torch's GradScaler; clipping beforehand would be a pass of its own.
                self.parts[0].grad_scale = factor  # type: ignore[attr-defined]
            else:
                torch._foreach_div_(_gradients(self.trained), factor)
        rate = self.schedule.rate(step)
        for group in self._groups():
            group["lr"] = rate
        for part in self.parts:
            part.step()
        self.forget()
        return norm

    def forget(self) -> None:
        """Drop the gradients."""
        for parameter in self.trained:
            parameter.grad = None

    def moments(self) -> dict[int, dict[str, Tensor]]:
        """What it remembers of each parameter, by its number."""
        states: dict[int, dict[str, Tensor]] = {}
        begin = 0
        for part in self.parts:
            state = part.state_dict()["state"]
            states |= {begin + number: _tensors(own) for number, own in state.items()}
            begin += _size(part)
        return states

    def restore(self, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Continue from what `moments` gave."""
        begin = 0
        for part in self.parts:
            end = begin + _size(part)
            own = {n - begin: _counted(m) for n, m in moments.items() if begin <= n < end}
            groups = part.state_dict()["param_groups"]
            part.load_state_dict({"state": own, "param_groups": groups})
            begin = end


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """What is remembered of a parameter as tensors only: bitsandbytes nests it, and counts."""
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        tensors |= _tensors(value) if isinstance(value, Mapping) else {name: torch.as_tensor(value)}
    return tensors


def _counted(moments: Mapping[str, Tensor]) -> dict[str, Any]:
    """The same as an optimizer keeps it: what was a whole number is one again."""
    return {
        name: value if value.dim() or value.is_floating_point() else int(value)
        for name, value in moments.items()
    }


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The norm of the gradients of some parameters together, a scalar."""
    return nn.utils.get_total_norm(_gradients(parameters), foreach=True)


def _gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _size(part: torch.optim.Optimizer) -> int:
    """How many parameters it moves."""
    return sum(len(group["params"]) for group in part.param_groups)


class DecoupledSGD(torch.optim.SGD):
    """Gradient descent whose decay is that of AdamW: of the weights, and no part of the gradient.

    Args:
        groups: Parameters with their ``decay``.
        lr: The rate.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(groups, lr=lr, momentum=MOMENTUM, fused=True)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Decay what has a gradient, and move it."""
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if group["decay"] and moved:
                torch._foreach_mul_(moved, 1.0 - group["lr"] * group["decay"])
        super().step()


def _adamw(module: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    return [_adamw_of(module.parameters(), settings)]


def _adamw_of(parameters: Iterable[nn.Parameter], settings: TrainSettings) -> torch.optim.AdamW:
    groups = decay_groups(parameters, settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.lr, eps=settings.adam_epsilon, fused=True)


def _adamw_8bit(module: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Dettmers et al., 2021, https://arxiv.org/abs/2110.02861; tensors below 4,096 in float32."""
    check_optimizer(settings.optimizer)
    quiet_bitsandbytes()
    from bitsandbytes.optim.adamw import AdamW8bit

    groups = decay_groups(module.parameters(), settings.weight_decay)
    make: Callable[..., torch.optim.Optimizer] = AdamW8bit
    return [make(groups, lr=settings.lr, eps=settings.adam_epsilon)]


def _adafactor(module: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    groups = decay_groups(module.parameters(), settings.weight_decay)
    return [torch.optim.Adafactor(groups, lr=settings.lr)]


def _sgd(module: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    groups = decay_groups(module.parameters(), settings.weight_decay)
    own = [{"params": group["params"], "decay": group["weight_decay"]} for group in groups]
    return [DecoupledSGD(own, lr=settings.lr)]


def _muon(module: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Its step is as large as AdamW's would be (`match_rms_adamw`), so that rates are alike."""
    inner = {id(p) for p in _inner_matrices(module)}
    trained = [p for p in module.parameters() if p.requires_grad]
    matrices = [p for p in trained if id(p) in inner]
    rest = [p for p in trained if id(p) not in inner]
    optimizers: list[torch.optim.Optimizer] = []
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices, lr=settings.lr, weight_decay=settings.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )  # fmt: skip
    return [*optimizers, _adamw_of(rest, settings)] if rest else optimizers


def _inner_matrices(module: nn.Module) -> Iterator[nn.Parameter]:
    """The matrices of the blocks: no embedding, no head, and nothing a method trains along."""
    for inner in module.modules():
        if not isinstance(inner, nn.ModuleList):
            continue
        for child in inner.modules():
            if not isinstance(child, nn.Embedding):
                yield from (p for p in child.parameters(recurse=False) if p.ndim == 2)


_OPTIMIZERS: Mapping[str, Callable[[nn.Module, TrainSettings], list[torch.optim.Optimizer]]] = {
    "adamw": _adamw, ADAMW_8BIT: _adamw_8bit, "adafactor": _adafactor, "sgd": _sgd, "muon": _muon,
}  # fmt: skip
