"""The control group of a search: trials that are never stopped, by which stopping is judged."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from fractions import Fraction

_LARGEST_ROW = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlGroup:
    """One trial, drawn at random, of each so many in a row.

    Which ones is a matter of their numbers: a larger budget adds to them, and changes none. Rows
    are as long as the share needs: of 0.4, by turns of 2 and of 3 trials.

    Attributes:
        share: Of the trials; 0 for none.
        seed: Which ones.
        first: The first number that may be one; those before it have nothing to be stopped by.
    """

    share: float
    seed: int
    first: int = 0

    def __contains__(self, number: object) -> bool:
        """Whether a trial, by its number, is one of them."""
        if not self.share or not isinstance(number, int) or number < self.first:
            return False
        share = Fraction(self.share).limit_denominator(_LARGEST_ROW)
        place = number - self.first
        row = math.ceil((place + 1) * share) - 1
        begins, ends = math.floor(row / share), math.floor((row + 1) / share)
        return random.Random(f"{self.seed} {row}").randrange(ends - begins) == place - begins


NOBODY = ControlGroup(share=0.0, seed=0)
"""Every trial may be stopped."""
