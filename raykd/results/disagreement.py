"""On which test rows two arms differ, next to what another run changes.

Axes: S confirm run, R test row.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raykd.results.arm_runs import RunKey, RunOutcomes

Right = NDArray[np.bool_]
"""Whether each row is right in each run, ``[S, R]``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreement:
    """Two arms on the same test rows, over the runs that both have: of one seed and search.

    Attributes:
        first: An arm.
        second: Another one.
        both: Share of the rows that both get right, in the same run.
        first_alone: Share that the first one alone gets right.
        second_alone: Share that the second one alone gets right.
        churn: Share of rows on which two runs of the first arm differ, and of the second; None of
            one run.
        first_rows: Rows that the first one gets right in every run, and the second in none.
        second_rows: The other way round.
    """

    first: str
    second: str
    both: float
    first_alone: float
    second_alone: float
    churn: tuple[float | None, float | None]
    first_rows: tuple[int, ...]
    second_rows: tuple[int, ...]

    @property
    def differ(self) -> float:
        """Share of the rows that one of them alone gets right."""
        return self.first_alone + self.second_alone


def disagreements(arms: Mapping[str, RunOutcomes]) -> tuple[Disagreement, ...]:
    """The first arm next to every other one, where rows are right or wrong.

    Args:
        arms: Outcomes of the test rows by run, the best arm first.
    """
    known = {name: of for name, own in arms.items() if (of := _right(own)) is not None}
    names = list(known)
    pairs = (_pair(names[0], other, known) for other in names[1:])
    return tuple(pair for pair in pairs if pair is not None)


def _right(outcomes: RunOutcomes) -> tuple[Sequence[RunKey], Right] | None:
    """Runs of an arm and whether each row is right there; None where that is not so."""
    if not outcomes or len({len(of) for of in outcomes.values()}) > 1:
        return None
    table = np.stack([*outcomes.values()])
    return ([*outcomes], table == 1.0) if np.isin(table, (0.0, 1.0)).all() else None


def _pair(
    first: str, second: str, known: Mapping[str, tuple[Sequence[RunKey], Right]]
) -> Disagreement | None:
    """Two arms on the runs that both have; None without any, or on other rows."""
    (own, a), (its, b) = known[first], known[second]
    shared = [run for run in own if run in its]
    if not shared or a.shape[1] != b.shape[1]:
        return None
    x, y = a[[own.index(r) for r in shared]], b[[its.index(r) for r in shared]]
    return Disagreement(
        first=first,
        second=second,
        both=float((x & y).mean()),
        first_alone=float((x & ~y).mean()),
        second_alone=float((~x & y).mean()),
        churn=(_churn(a), _churn(b)),
        first_rows=tuple(np.flatnonzero(x.all(0) & ~y.any(0)).tolist()),
        second_rows=tuple(np.flatnonzero(y.all(0) & ~x.any(0)).tolist()),
    )


def _churn(right: Right) -> float | None:
    """The share of rows on which two runs of an arm differ; None of one run."""
    pairs = [(p != q).mean() for p, q in itertools.combinations(right, 2)]
    return float(np.mean(pairs)) if pairs else None
