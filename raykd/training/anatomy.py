"""Sizes and gradients of the terms of a loss, in a few steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from raykd.data.base import Batch
from raykd.losses.terms import LossTerms
from raykd.methods.base import Method
from raykd.training.device import DistributedContext, together
from raykd.training.memory import OutOfMemory, release
from raykd.training.seeding import capture_draws, restore_draws

SAMPLES = 3
"""Steps of a training that are looked at, at most."""
APART = 500
"""Steps of the training for each of them, in the mean: a look costs four or five, 1 % then."""

SIZE, NORM, COSINE = "size", "norm", "cosine"
"""What the names of a sample begin with: ``size kd``, ``norm kd``, ``cosine kd task``."""


def sampled_steps(eval_steps: Sequence[int], samples: int, draw: float = 0.0) -> frozenset[int]:
    """The steps that are looked at: right before evaluations, spread evenly, the last among them.

    A training of half as many steps as there should be between two looks has one or none, as the
    draw has it: of several such trainings, half are looked at.

    Args:
        eval_steps: Steps done at each evaluation of the training.
        samples: How many, at most.
        draw: A random number of this training in ``[0, 1)``; 0 gives it the look in doubt.
    """
    if not eval_steps:
        return frozenset()
    count = min(samples, len(eval_steps), math.ceil(eval_steps[-1] / APART - draw))
    return frozenset(eval_steps[(k + 1) * len(eval_steps) // count - 1] for k in range(count))


Gradients = tuple[Tensor | None, ...]
"""Of one term, on each weight."""
TermsOf = Callable[[Batch], LossTerms]
"""Runs a method on a batch that it prepared."""


class LossAnatomy:
    """Looks at the terms of a loss apart, next to the step that is done with their sum.

    The student runs once more for each term, with the same dropout, and the gradient of that term
    on its weights is compared with those of the others. Afterwards all is as if it had not been
    looked at. Nothing waits for the device before `take`. Of several ranks each has rows of its
    own: terms and gradients are those of all rows, and every rank keeps the same.

    Args:
        model: The student, whole on every rank.
        method: Whose terms these are.
        world: The ranks.
    """

    def __init__(self, model: nn.Module, method: Method[Any], world: DistributedContext) -> None:
        self._model = model
        self._method = method
        self._world = world
        self._device = world.device
        self._seen: tuple[tuple[str, ...], Tensor, Tensor] | None = None

    def look(
        self, batch: Batch, names: Sequence[str], terms_of: TermsOf, shares: Tensor | None = None
    ) -> None:
        """Look at one pass; nothing is kept of a loss of one term, or where memory runs out.

        Args:
            batch: As the method prepared it.
            names: Of its terms, the same on every rank.
            terms_of: Runs the method on it.
            shares: What the terms of this rank are multiplied with, ``[K]``, so that their mean
                over the ranks is that over all rows; None for one rank.
        """
        self._seen = None
        if len(names) < 2:
            return
        draws, remembered = capture_draws(self._device), self._method.state_dict()
        out = ""
        try:
            with together(self._world):  # every rank hears of one that has no memory for it
                values, gradients, table = self._apart(batch, names, terms_of)
            self._seen = tuple(names), *self._compared(values, gradients, table, shares)
        except OutOfMemory as exc:
            out = exc.reason
        finally:
            restore_draws(draws, self._device)
            self._method.load_state_dict(remembered)
        if out:  # only here is the exception gone, and with it the tensors of the pass
            release(self._device)

    def _apart(
        self, batch: Batch, names: Sequence[str], terms_of: TermsOf
    ) -> tuple[Tensor, list[Gradients], Tensor]:
        """Values ``[K]`` and gradients of the terms, and room for those of the largest weight."""
        weights = self._weights()
        draws, remembered = capture_draws(self._device), self._method.state_dict()
        values: list[Tensor] = []
        gradients: list[Gradients] = []
        for name in names:
            restore_draws(draws, self._device)
            self._method.load_state_dict(remembered)
            term = terms_of(batch)[name].float()
            values.append(term.detach())
            gradients.append(
                torch.autograd.grad(term, weights, allow_unused=True)
                if term.requires_grad
                else (None,) * len(weights)
            )
        largest = max((weight.numel() for weight in weights), default=0)
        room = torch.empty(len(names) * largest, device=self._device)
        return torch.stack(values), gradients, room

    def _compared(
        self, values: Tensor, gradients: list[Gradients], room: Tensor, shares: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Values ``[K]`` and inner products of gradients ``[K, K]``, of all ranks together."""
        count, size = len(values), self._world.size
        products = torch.zeros(count, count, device=self._device)
        for weight, of_terms in zip(self._weights(), zip(*gradients, strict=True), strict=True):
            if size == 1 and all(gradient is None for gradient in of_terms):
                continue
            table = room[: count * weight.numel()].view(count, -1)
            for row, gradient in zip(table, of_terms, strict=True):
                row.zero_() if gradient is None else row.copy_(gradient.detach().flatten())
            products += self._of_all(table, shares) @ table.T
        return self._of_all(values[:, None], shares)[:, 0], products

    def _of_all(self, table: Tensor, shares: Tensor | None) -> Tensor:
        """One row for each term, of all ranks together, in place."""
        if self._world.size > 1 and shares is not None:
            self._world.sum(table.mul_(shares[:, None] / self._world.size))
        return table

    def _weights(self) -> list[nn.Parameter]:
        return [p for p in self._model.parameters() if p.requires_grad]

    def take(self) -> dict[str, float]:
        """The last sample, which is forgotten: values, gradient norms, and cosines of pairs.

        A cosine with a term whose gradient is 0 is left out, and so is what is not finite.
        """
        if self._seen is None:
            return {}
        names, values, products = self._seen
        self._seen = None
        inner = products.double().cpu()
        norms = inner.diagonal().clamp_min(0.0).sqrt().tolist()
        measured = {f"{SIZE} {n}": v for n, v in zip(names, values.tolist(), strict=True)}
        measured |= {f"{NORM} {n}": v for n, v in zip(names, norms, strict=True)}
        for a, b in combinations(range(len(names)), 2):
            if norms[a] * norms[b] > 0:
                cosine = float(inner[a, b]) / (norms[a] * norms[b])
                measured[f"{COSINE} {names[a]} {names[b]}"] = min(1.0, max(-1.0, cosine))
        return {name: value for name, value in measured.items() if math.isfinite(value)}
