"""Loss terms over ranks and steps: their weights, their means, and the first that is not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from raykd.data.base import moved
from raykd.errors import TrialError
from raykd.losses.terms import Count, Items, LossTerms, Mean
from raykd.training.device import DistributedContext

CHECK_STEPS = 256
"""Steps between two looks at the terms, which make the host wait for the device."""
MOST_TERMS = 62
"""Maximum number of terms and metrics of a step."""
_PLAIN = ""
"""Stands for every term that counts what the task counts."""


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

    @property
    def num_terms(self) -> int:
        """How many of the names, the first ones, are terms of the loss."""
        return len(self.names) - self.num_metrics


def step_of(
    terms: LossTerms, default: Count, *, takes_part: bool, device: torch.device
) -> StepTerms:
    """What has to be known of terms besides their values.

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
        plain = _stacked([0.0 if isinstance(c, Tensor) else c for c in counts], device)
        parts = [c if isinstance(c, Tensor) else plain[k] for k, c in enumerate(counts)]
        return torch.stack([part.to(plain).reshape(()) for part in parts])
    return moved(torch.tensor(counts, dtype=torch.float64), device)


@dataclass(frozen=True, slots=True)
class Totals:
    """What the terms of a step count in all passes of all ranks together.

    Attributes:
        counts: ``[number of names]``.
        unforeseen: Above 0 where terms counted something else than their method had said; a scalar.
    """

    counts: Tensor
    unforeseen: Tensor


def totals(step: StepTerms, world: DistributedContext) -> Totals:
    """Add the counts up over the ranks: one small collective, and nothing waits for the device.

    It has the same size whatever the terms are, so that ranks which name different ones do not
    wait for each other for ever.

    Raises:
        TrialError: There are more than `MOST_TERMS`.
    """
    none = step.counts.new_zeros(())
    if world.size == 1:
        return Totals(step.counts, none)
    if len(step.names) > MOST_TERMS:
        raise TrialError(
            f"the method has {len(step.names)} loss terms, at most {MOST_TERMS} can be"
        )
    places = sorted(range(len(step.names)), key=lambda k: step.names[k])
    sent = step.counts.new_zeros(MOST_TERMS + 1)
    sent[: len(places)] = step.counts[places]
    sums = world.sum(sent)
    counts = torch.empty_like(step.counts)
    counts[places] = sums[: len(places)]
    return Totals(counts, none)


class Foreseen:
    """What the terms of a step will count in several passes, said before the first of them.

    Args:
        counts: Of every pass: what its terms count, as `raykd.methods.base.Method.counts` says.
        plain: Of every pass: what a term counts that is not named there.
        takes_part: Of every pass: whether the rows of this rank count.
        device: Of the terms.
        world: The ranks.
    """

    def __init__(
        self,
        counts: Sequence[Mapping[str, Count | Items]],
        plain: Sequence[Count],
        takes_part: Sequence[bool],
        *,
        device: torch.device,
        world: DistributedContext,
    ) -> None:
        names = (_PLAIN, *dict.fromkeys(name for one in counts for name in one))
        table = [
            _stacked([_counted(name, one, default, part) for name in names], device)
            for one, default, part in zip(counts, plain, takes_part, strict=True)
        ]
        self._names = names
        self._own = torch.stack(table).sum(dim=0)
        self._all = totals(StepTerms(names=names, num_metrics=0, counts=self._own), world).counts

    def totals(self, names: Sequence[str], counted: Tensor | None = None) -> Totals:
        """Those of some terms.

        Args:
            names: Of the terms.
            counted: What they counted in all passes of this rank, ``[number of names]``, once that
                is known.
        """
        places = [self._names.index(name) if name in self._names else 0 for name in names]
        off = self._own.new_zeros(())
        if counted is not None:
            own = self._own[places]
            off = ((counted - own).abs() > 1e-6 * own.abs().clamp_min(1.0)).sum()
        return Totals(self._all[places], off)


def _counted(
    name: str, counts: Mapping[str, Count | Items], plain: Count, takes_part: bool
) -> Count:
    count = counts.get(name, plain if name == _PLAIN else 0.0)
    if isinstance(count, Items):
        return count.count if takes_part or not count.of_batch else 0.0
    return count if takes_part else 0.0


def shares(step: StepTerms, of: Totals, world: DistributedContext) -> Tensor:
    """What the means of a pass on this rank are multiplied with, float32 ``[number of names]``.

    The mean over ranks of the products, added up over the passes of a step, is the mean over
    everything that was counted.
    """
    return (step.counts * (world.size / of.counts.clamp_min(1e-300))).float()


@dataclass(slots=True)
class _Means:
    """Sums over steps, for the mean of the loss and of each term."""

    sums: dict[str, float] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    loss: float = 0.0
    steps: int = 0

    def add(
        self, sums: Mapping[str, float], seen: Mapping[str, int], loss: float, steps: int
    ) -> None:
        """Add some steps: the sum of each term, the steps that have it, and the sum of losses."""
        for name, total in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + total
            self.seen[name] = self.seen.get(name, 0) + seen[name]
        self.loss += loss
        self.steps += steps

    def means(self) -> dict[str, float]:
        """The mean of each term, and of ``loss``, their sum; empty without a step."""
        if not self.steps:
            return {}
        means = {n: total / self.seen[n] for n, total in self.sums.items() if self.seen[n]}
        # The sum, also where a term has its name.
        return {"loss": self.loss / self.steps} | {n: m for n, m in means.items() if n != "loss"}


class LossTracker:
    """Accumulates loss terms on the device and checks them only now and then.

    All ranks add at the same steps, so they see the same sums and fail together. A term that is
    absent from a step, or counted nothing in it, is not part of its mean.

    Args:
        world: The ranks; terms are averaged over them.
    """

    def __init__(self, world: DistributedContext) -> None:
        self.world = world
        self._pending: list[tuple[StepTerms, Totals, Tensor]] = []
        self._since_evaluation = _Means()
        self._since_point = _Means()

    def add(self, step: StepTerms, of: Totals, values: Tensor, number: int) -> None:
        """Note the terms of one step.

        Args:
            step: Their names.
            of: What they count on all ranks.
            values: Times the share of this rank, ``[number of names]``, detached.
            number: Steps done, this one included.

        Raises:
            TrialError: A term became NaN or infinite within the last steps, or counted something
                else than its method had said.
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
        taken, self._since_evaluation = self._since_evaluation, _Means()
        return taken.means()

    def recent(self, number: int) -> dict[str, float]:
        """The same since the last call of this method, independent of calls of `means`.

        Args:
            number: Steps done.

        Raises:
            TrialError: See `add`.
        """
        self._look(number)
        taken, self._since_point = self._since_point, _Means()
        return taken.means()

    def _look(self, number: int) -> None:
        if not self._pending:
            return
        first = number - len(self._pending) + 1
        self._check_counts(first)
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
        sums = dict(zip(names, values.sum(0).tolist(), strict=True))
        seen = dict(zip(names, counted.sum(0).tolist(), strict=True))
        loss = float((values * minimised).sum())
        for means in (self._since_evaluation, self._since_point):
            means.add(sums, seen, loss, len(values))

    def _check_counts(self, first: int) -> None:
        unforeseen = torch.stack([of.unforeseen for _, of, _ in self._pending]).cpu().nonzero()
        if not len(unforeseen):
            return
        at = int(unforeseen[0])
        raise TrialError(
            "the loss terms of the method counted something else than it had said at step "
            f"{first + at}; they are {', '.join(self._pending[at][0].names)}",
            hint="counts() of a method says what every Mean of it counts, so that a batch can be "
            "computed in several passes; with train.micro_batch at the batch size there is one",
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
        for (names_of_terms, num_metrics), rows in alike.items():
            columns = torch.tensor([names.index(name) for name in names_of_terms], dtype=torch.long)
            places = (torch.tensor(rows)[:, None], columns)
            there = tuple(place.to(values.device) for place in places)
            table[there] = torch.stack([self._pending[row][2] for row in rows])
            counts = torch.stack([self._pending[row][1].counts for row in rows])
            counted[there] = counts > 0
            minimised[places[0], columns[: len(names_of_terms) - num_metrics]] = True
        return table, counted, minimised
