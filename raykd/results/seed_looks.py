"""What a look at the confirm runs of a plan says: whether more seeds are worth their time."""

from __future__ import annotations

import math

from scipy import special

from raykd.results.records import SweepResult
from raykd.results.seed_plan_record import SeedPlanRecord
from raykd.results.summary import arm_summaries, compare, rank_arms, task_metric
from raykd.results.verdict import verdict

LEAST_CHANCE = 0.05
"""Below this chance that the last look decides, more seeds are not begun."""


def why_to_end(result: SweepResult, task: str, plan: SeedPlanRecord, look: int) -> str:
    """Why the confirm stage of a task ends at a look; empty where it continues.

    Args:
        result: The sweep with the runs of this look.
        task: Task name.
        plan: Its plan.
        look: Number of the look, from 0.

    Returns:
        ``decided``: an arm is better than every other one; or the leading arms are equal within
        the margin that matters. ``futile``: the last look would hardly decide. ``last``: it was
        the last one.
    """
    outcome = verdict(result, task)
    if outcome.decided or outcome.equal_within:
        return "decided"
    if look == len(plan.looks) - 1:
        return "last"
    return "futile" if chance_at_last(result, task, plan, look) < LEAST_CHANCE else ""


def chance_at_last(result: SweepResult, task: str, plan: SeedPlanRecord, look: int) -> float:
    """How probably the last look decides that the leader is ahead of the closest arm."""
    measure = task_metric(result, task)
    arms = arm_summaries(result, task)
    order = rank_arms(arms, measure.mode)
    together = compare(measure, arms)
    differences = [together.difference(a.name, b.name) for a in order[:1] for b in order[1:]]
    leads = [d.mean / d.error.value for d in differences if d is not None and d.error.value > 0.0]
    if not leads:
        return 1.0
    return chance(min(leads), plan.looks[look] / plan.looks[-1], plan.levels[-1])


def chance(lead: float, done: float, level: float) -> float:
    """How probably the last look decides, if the lead is a standard error larger than it looks.

    The differences to come are those of a normal process with that drift (Lan, Simon, Halperin,
    1982).

    Args:
        lead: Over the closest arm, in standard errors.
        done: Share of the seeds of the last look.
        level: Of the last look, two-sided.
    """
    bar = -float(special.ndtri(level / 2))
    now, drift = lead * math.sqrt(done), (lead + 1.0) / math.sqrt(done)
    return float(special.ndtr((now + drift * (1 - done) - bar) / math.sqrt(1 - done)))
