"""Caveats about constraints: trials and arms that do not keep to them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from raykd.results.caveat import Caveat
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.summary import ArmSummary, named


def constraint_caveats(
    result: SweepResult, task: str, arms: tuple[ArmSummary, ...]
) -> Iterator[Caveat]:
    """Trials that were left out, arms that nothing is left of, and what confirm runs go beyond."""
    for arm in arms:
        trials = [t for t in result.of(task, arm.name, "search") if t.status is Status.COMPLETED]
        beyond_it = [t for t in trials if t.violated]
        counts = Counter(name for t in beyond_it for name in t.violated)
        which = ", ".join(f"{name}: {count}" for name, count in counts.items())
        who = named(arm.name, first=True)
        if beyond_it and len(beyond_it) == len(trials):
            yield Caveat(
                code="no-feasible-trial",
                task=task,
                arm=arm.name,
                message=f"{who} has no configuration to confirm: none of its {len(trials)} "
                f"completed trials keeps to the constraints ({which}).",
                hint="loosen the constraint, or search smaller students and more trials"
                + _nearest(beyond_it, counts),
            )
        elif beyond_it:
            yield Caveat(
                code="infeasible-trials",
                task=task,
                arm=arm.name,
                message=f"{who} was chosen without {len(beyond_it)} of its {len(trials)} completed "
                f"trials, which do not keep to a constraint ({which}).",
                hint="the others are what its configuration was chosen among",
            )
        if arm.beyond:
            yield Caveat(
                code="confirmed-beyond-constraint",
                task=task,
                arm=arm.name,
                message=f"{who} does not keep to {', '.join(arm.beyond)} in its confirm runs, "
                "although its trial in the search did.",
                hint="it is not the arm to take; a bound that is measured, as latency is, needs "
                "some room",
            )


def _nearest(trials: Sequence[TrialResult], counts: Counter[str]) -> str:
    """What came nearest to each constraint."""
    words = []
    for name in counts:
        metric, relation, _ = name.split(" ")
        values = [v for t in trials if math.isfinite(v := t.metrics.get(metric, math.nan))]
        if values:
            nearest = min(values) if relation == "<=" else max(values)
            words.append(f"{metric} {nearest:.4g}")
    return f"; the nearest were {', '.join(words)}" if words else ""
