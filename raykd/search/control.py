"""The control group of a search: trials that are never stopped, by which stopping is judged."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlGroup:
    """One trial, drawn at random, of each so many in a row.

    Which ones is a matter of their numbers: a larger budget adds to them, and changes none.

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
        row = round(1 / self.share)
        block, place = divmod(number - self.first, row)
        return random.Random(f"{self.seed} {block}").randrange(row) == place


NOBODY = ControlGroup(share=0.0, seed=0)
