"""Loss terms between evaluations: their means, and the first step where one is not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from raykd.errors import TrialError
from raykd.training.device import World

CHECK_STEPS = 256
"""Steps between two looks at the terms, which make the host wait for the device."""


class TermLedger:
    """Keeps the terms of every step on the device, and looks at them only now and then.

    All ranks add at the same steps, so they see the same sums and fail together.

    Args:
        world: The ranks; terms are averaged over them.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._names: tuple[str, ...] = ()
        self._minimised: tuple[str, ...] = ()
        self._pending: list[Tensor] = []
        self._sums: list[float] = []
        self._steps = 0

    def add(self, names: tuple[str, ...], terms: Tensor, step: int, watched: int = 0) -> None:
        """Note the terms of one step.

        Args:
            names: Their names, the same in every step.
            terms: Their values times the weight of this rank, ``[number of names]``, detached.
            step: Steps done, this one included.
            watched: How many of them, the last ones, are no part of the loss.

        Raises:
            TrialError: A term became NaN or infinite within the last steps.
        """
        if names != self._names:
            if self._names:
                raise TrialError(
                    f"the method's loss terms changed from {self._names} to {names} at step {step}",
                    hint="a term that does not apply to a batch must be 0, not absent",
                )
            self._names = names
            self._minimised = names[: len(names) - watched]
            self._sums = [0.0] * len(names)
        self._pending.append(terms)
        if len(self._pending) >= CHECK_STEPS:
            self._look(step)

    def means(self, step: int) -> dict[str, float]:
        """Mean of each term and of their sum, ``loss``, since the last call.

        Args:
            step: Steps done.

        Raises:
            TrialError: A term became NaN or infinite since the last look.
        """
        self._look(step)
        if not self._steps:
            return {}
        means = {
            name: total / self._steps for name, total in zip(self._names, self._sums, strict=True)
        }
        self._sums = [0.0] * len(self._names)
        self._steps = 0
        return {"loss": sum(means[name] for name in self._minimised), **means}

    def _look(self, step: int) -> None:
        if not self._pending:
            return
        values = self._world.sum(torch.stack(self._pending)).double().cpu() / self._world.size
        self._pending.clear()
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            row, column = (int(i) for i in bad[0])
            became = "NaN" if values[row, column].isnan() else "infinite"
            raise TrialError(
                f"loss became {became} at step {step - len(values) + row + 1}"
                f" (term '{self._names[column]}')",
                hint="lower lr or the weight of that term",
            )
        self._sums = [a + b for a, b in zip(self._sums, values.sum(0).tolist(), strict=True)]
        self._steps += len(values)
