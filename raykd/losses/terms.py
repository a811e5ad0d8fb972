"""Named terms of a loss, and what each of them is a mean over.

A batch may be spread over several ranks, and ranks hold different numbers of rows, tokens and
responses. The mean over all of them is the mean of the ranks' means weighted by what each counted,
so a term that counts something else than rows says how many there were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Count = Tensor | float
"""How many things a mean is over: a number, or a scalar on the device of the loss."""


@dataclass(frozen=True, slots=True)
class Items:
    """What a mean is over, where it is not over things that belong to the rows of a batch.

    Attributes:
        count: How many.
        of_batch: See `Mean`.
    """

    count: Count
    of_batch: bool = False


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over some things of a batch, and how many of them there were.

    Attributes:
        value: The mean times the weight of its term, a scalar; 0 where there was nothing.
        count: How many; what all ranks counted in the same way may be given up to a common factor.
        of_batch: Whether the things belong to the rows of the present batch. A rank that has no
            rows of it computes one that does not count.
    """

    value: Tensor
    count: Count
    of_batch: bool = True

    def __mul__(self, weight: float) -> Mean:
        """The same mean with another weight."""
        return Mean(weight * self.value, self.count, self.of_batch)

    __rmul__ = __mul__

    def __add__(self, other: Mean) -> Mean:
        """The sum of two means over the same things."""
        return Mean(self.value + other.value, self.count, self.of_batch)


Term = Tensor | Mean


class LossTerms(Mapping[str, Tensor]):
    """Named scalars whose sum is minimised; each is logged under its name.

    A plain tensor is a mean over what the task counts: rows, or tokens with a label. What is a mean
    over anything else is given as a `Mean`. A term that does not apply to a batch is left out, or
    given with a count of 0; ranks that train together must name the same terms in a step, so that
    there only the latter will do.

    The sum is logged as ``loss``; a term of this name is not logged a second time.

    Args:
        metrics: Named scalars without gradient that are logged as well, and not minimised.
        terms: The terms.
    """

    def __init__(self, metrics: Mapping[str, Term] | None = None, /, **terms: Term) -> None:
        self.means: dict[str, Term] = dict(terms)
        self.metric_means: dict[str, Term] = dict(metrics or {})

    @property
    def metrics(self) -> dict[str, Tensor]:
        """Scalars that are logged besides the terms."""
        return {name: value_of(term) for name, term in self.metric_means.items()}

    def __getitem__(self, name: str) -> Tensor:
        return value_of(self.means[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.means)

    def __len__(self) -> int:
        return len(self.means)

    def total(self) -> Tensor:
        """Sum of the terms, a scalar."""
        return torch.stack([term.float() for term in self.values()]).sum()


def value_of(term: Term) -> Tensor:
    """The scalar of a term."""
    return term.value if isinstance(term, Mean) else term


def mean_of(values: Tensor) -> Tensor:
    """The mean of values of any shape, a scalar; 0, with a gradient of 0, where there are none."""
    return values.mean() if values.numel() else values.sum()
