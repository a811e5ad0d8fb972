"""How each arm does on each class: recall, precision, and what rows of a class are taken for.

Axes: S confirm run, C class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raykd.results.records import SweepResult
from raykd.results.reported_runs import reported_runs


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """One class, as one arm answers its test rows.

    Attributes:
        name: The class.
        rows: Test rows of it.
        recall: Share of them that are answered rightly, mean over the confirm runs; NaN of none.
        sd: Spread of that share over the runs; NaN of one.
        precision: Share of the rows answered with this class that are of it, of all runs together;
            NaN where it is never answered.
        taken_for: Other classes that its rows are answered with, with their share of them, the
            largest first.
    """

    name: str
    rows: int
    recall: float
    sd: float
    precision: float
    taken_for: tuple[tuple[str, float], ...]


def class_scores(result: SweepResult, task: str, arm: str) -> tuple[ClassScore, ...]:
    """The classes of a task as the confirm runs of an arm answer them; empty if not recorded."""
    names = tuple(result.task(task).classes)
    tables = [t.confusion for t in reported_runs(result, task, arm) if t.confusion]
    if not tables or any(np.shape(table) != (len(names), len(names)) for table in tables):
        return ()
    return _scores(names, np.array(tables, np.float64))


def _scores(names: Sequence[str], counts: np.ndarray) -> tuple[ClassScore, ...]:
    """From counts ``[S, C, C]``, the class first, then the answer."""
    rows, answered = counts[0].sum(1), counts.sum((0, 1))
    whole = counts.mean(0)
    scores = []
    for k, name in enumerate(names):
        shares = counts[:, k, k] / rows[k] if rows[k] else np.array([np.nan])
        others = [(names[j], float(whole[k, j] / rows[k])) for j in range(len(names))
                  if j != k and whole[k, j] > 0]  # fmt: skip
        scores.append(
            ClassScore(
                name=name,
                rows=int(rows[k]),
                recall=float(shares.mean()),
                sd=float(shares.std(ddof=1)) if len(shares) > 1 else np.nan,
                precision=float(counts[:, k, k].sum() / answered[k]) if answered[k] else np.nan,
                taken_for=tuple(sorted(others, key=lambda pair: (-pair[1], pair[0]))),
            )
        )
    return tuple(scores)
