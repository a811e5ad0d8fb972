"""Loss terms over ranks and steps: their weights, their means, and the first that is not finite."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.data.base import moved
from raykd.errors import TrialError
from raykd.losses.terms import Count, LossTerms, Mean
from raykd.training.device import DistributedContext

CHECK_STEPS = 256
"""Steps between two looks at the terms, which make the host wait for the device."""
MOST_TERMS = 62
"""Maximum number of terms and metrics of a step."""
_NAMES = 1 << 20
"""Hashes of names lie below this, so that sums of their squares are exact."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTerms:
    """The terms of one step on one rank.

    Attributes:
        names: Loss terms, and then metrics.
        num_metrics: How many of them, the last ones, are metrics and no part of the loss.
        counts: What each is a mean over, float64 ``[number of names]``.
    """

    names: tuple[str, ...]
    num_metrics: int
    counts: Tensor


def step_of(
    terms: LossTerms, default: Count, *, takes_part: bool, device: torch.device
) -> StepTerms:
    """What has to be known of terms beside their values.

    Args:
        terms: As a method gives them.
        default: What a term counts that says nothing else.
        takes_part: Whether the rows of this rank count.
        device: Of the terms.
    """
    every = [*terms.means.values(), *terms.metric_means.values()]
    counts: list[Count] = [
        (term.count if takes_part or not term.of_batch else 0.0)
        if isinstance(term, Mean)
        else (default if takes_part else 0.0)
        for term in every
    ]
    return StepTerms(
        names=(*terms, *terms.metric_means),
        num_metrics=len(terms.metric_means),
        counts=_stacked(counts, device),
    )


def _stacked(counts: Sequence[Count], device: torch.device) -> Tensor:
    if any(isinstance(count, Tensor) for count in counts):
        parts = [torch.as_tensor(c, dtype=torch.float64, device=device) for c in counts]
        return torch.stack([part.reshape(()) for part in parts])
    plain = torch.tensor(counts, dtype=torch.float64)
    return moved(plain, device)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the terms of a step count on all ranks together.

    Attributes:
        counts: ``[number of names]``.
        differ: Above 0 where the ranks did not name the same terms; a scalar.
    """

    counts: Tensor
    differ: Tensor


def totals(step: StepTerms, world: DistributedContext) -> Totals:
    """Add the counts up over the ranks: one small collective, and nothing waits for the device.

    It has the same size whatever the terms are, so that ranks which name different ones do not
    wait for each other for ever; the tracker reports it when it checks the terms.

    Raises:
        TrialError: There are more than `MOST_TERMS`.
    """
    if world.size == 1:
        return Totals(step.counts, step.counts.new_zeros(()))
    if len(step.names) > MOST_TERMS:
        raise TrialError(
            f"the method has {len(step.names)} loss terms, at most {MOST_TERMS} can be"
        )
    places = sorted(range(len(step.names)), key=lambda k: step.names[k])
    sent = step.counts.new_zeros(MOST_TERMS + 2)
    sent[: len(places)] = step.counts[places]
    name = zlib.crc32(repr(sorted(step.names)).encode()) % _NAMES
    sent[-2], sent[-1] = name, name**2
    found = world.sum(sent)
    counts = torch.empty_like(step.counts)
    counts[places] = found[: len(places)]
    # Equal only where all hashes are.
    return Totals(counts, world.size * found[-1] - found[-2].square())


def shares(step: StepTerms, of: Totals, world: DistributedContext) -> Tensor:
    """What the means of this rank are multiplied with, float32 ``[number of names]``.

    The mean over ranks of the products is the mean over everything that was counted. Where the
    gradients of several batches are added up before a step, `of` is the sum of their counts, and
    the sum over batches takes the place of the mean.
    """
    return (step.counts * (world.size / of.counts.clamp_min(1e-300))).float()


class LossTracker:
    """Accumulates loss terms on the device and checks them only now and then.

    All ranks add at the same steps, so they see the same sums and fail together. A term that is
    absent from a step, or counted nothing in it, is no part of its mean.

    Args:
        world: The ranks; terms are averaged over them.
    """

    def __init__(self, world: DistributedContext) -> None:
        self.world = world
        self._pending: list[tuple[StepTerms, Totals, Tensor]] = []
        self._sums: dict[str, float] = {}
        self._seen: dict[str, int] = {}
        self._loss = 0.0
        self._steps = 0

    def add(self, step: StepTerms, of: Totals, values: Tensor, number: int) -> None:
        """Note the terms of one step.

        Args:
            step: Their names.
            of: What they count on all ranks.
            values: Times the share of this rank, ``[number of names]``, detached.
            number: Steps done, this one included.

        Raises:
            TrialError: A term became NaN or infinite within the last steps, or ranks named
                different terms.
        """
        self._pending.append((step, of, values))
        if len(self._pending) >= CHECK_STEPS:
            self._look(number)

    def means(self, number: int) -> dict[str, float]:
        """Mean of the sum of all terms, ``loss``, and of each of them, since the last call.

        Args:
            number: Steps done.

        Raises:
            TrialError: See `add`.
        """
        self._look(number)
        if not self._steps:
            return {}
        means = {n: total / self._seen[n] for n, total in self._sums.items() if self._seen[n]}
        loss = self._loss / self._steps
        self._sums, self._seen = {}, {}
        self._loss, self._steps = 0.0, 0
        # The sum, also where a term has its name.
        return {"loss": loss, **{name: mean for name, mean in means.items() if name != "loss"}}

    def _look(self, number: int) -> None:
        if not self._pending:
            return
        first = number - len(self._pending) + 1
        self._check_names(first)
        names = list(dict.fromkeys(name for step, _, _ in self._pending for name in step.names))
        values, counted, minimised = self._table(names)
        values = self.world.sum(values).double().cpu() / self.world.size
        counted, minimised = counted.cpu(), minimised.cpu()
        self._pending.clear()
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            row, column = (int(i) for i in bad[0])
            became = "NaN" if values[row, column].isnan() else "infinite"
            raise TrialError(
                f"loss became {became} at step {first + row} (term '{names[column]}')",
                hint="lower lr or the weight of that term",
            )
        seen = counted.sum(0).tolist()
        for k, (name, total) in enumerate(zip(names, values.sum(0).tolist(), strict=True)):
            self._sums[name] = self._sums.get(name, 0.0) + total
            self._seen[name] = self._seen.get(name, 0) + int(seen[k])
        self._loss += float((values * minimised).sum())
        self._steps += len(values)

    def _check_names(self, first: int) -> None:
        if self.world.size == 1:
            return
        differ = torch.stack([of.differ for _, of, _ in self._pending]).cpu().nonzero()
        if not len(differ):
            return
        at = int(differ[0])
        raise TrialError(
            f"the method named other loss terms on some ranks at step {first + at}; "
            f"here: {', '.join(self._pending[at][0].names)}",
            hint="a term that does not apply to the rows of a rank is Mean(0, count=0), not absent",
        )

    def _table(self, names: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Values, whether they count, and whether they are minimised; ``[steps, names]`` each."""
        values = self._pending[0][2]
        shape = (len(self._pending), len(names))
        table = values.new_zeros(shape)
        counted = torch.zeros(shape, dtype=torch.bool, device=values.device)
        minimised = torch.zeros(shape, dtype=torch.bool)
        alike: dict[tuple[tuple[str, ...], int], list[int]] = {}
        for row, (step, _, _) in enumerate(self._pending):
            alike.setdefault((step.names, step.num_metrics), []).append(row)
        for (found, num_metrics), rows in alike.items():
            columns = torch.tensor([names.index(name) for name in found], dtype=torch.long)
            places = (torch.tensor(rows)[:, None], columns)
            there = tuple(place.to(values.device) for place in places)
            table[there] = torch.stack([self._pending[row][2] for row in rows])
            counts = torch.stack([self._pending[row][1].counts for row in rows])
            counted[there] = counts > 0
            minimised[places[0], columns[: len(found) - num_metrics]] = True
        return table, counted, minimised
