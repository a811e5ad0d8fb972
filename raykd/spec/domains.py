"""Searched ranges: what ``{loguniform: [1e-5, 1e-4]}`` means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from raykd.params import Scalar, show

Kind = Literal["uniform", "loguniform", "quniform", "int", "logint", "choice"]
KINDS: tuple[Kind, ...] = ("uniform", "loguniform", "quniform", "int", "logint", "choice")


def same_value(one: Scalar, other: Scalar) -> bool:
    """Whether two values are one: true is not 1, and a step of a grid may be off by rounding."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-15)
    return one == other


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """One searched parameter.

    Attributes:
        kind: Distribution.
        low: Smallest value, None for `choice`.
        high: Largest value (included), None for `choice`.
        step: Grid of `quniform`, else None.
        choices: The values of `choice`.
        when: Searched only when these other parameters of the arm have these values.
    """

    kind: Kind
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Scalar, ...] = ()
    when: Mapping[str, Scalar] = field(default_factory=dict)

    def contains(self, value: Scalar) -> bool:
        """Whether a value lies in this domain."""
        if self.kind == "choice":
            return any(same_value(value, choice) for choice in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.kind in ("int", "logint") and value != int(value):
            return False
        assert self.low is not None
        assert self.high is not None
        if not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8

    def active(self, values: Mapping[str, Scalar]) -> bool:
        """Whether the conditions of `when` hold for the values chosen so far."""
        return all(
            name in values and same_value(values[name], want) for name, want in self.when.items()
        )

    def describe(self) -> str:
        """The domain as the user typed it, e.g. ``loguniform [1e-05, 0.0001]``."""
        if self.kind == "choice":
            return "choice [" + ", ".join(show(c) for c in self.choices) + "]"
        ends = [show(self.low), show(self.high)]
        if self.step is not None:
            ends.append(show(self.step))
        return f"{self.kind} [{', '.join(ends)}]"
