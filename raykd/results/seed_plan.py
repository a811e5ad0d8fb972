"""The look of a plan of seeds that the confirm runs of a task belong to."""

from __future__ import annotations

from raykd.results.alpha_spending import Look
from raykd.results.confirmed import confirm_seed
from raykd.results.records import SweepResult


def look_of(result: SweepResult, task: str) -> Look:
    """The look at which the arms of a task are compared.

    That which the confirm runs so far belong to, where seeds were added by a plan.
    """
    plan = result.seed_plans.get(task)
    if plan is None:
        return Look()
    confirm = [t for t in result.trials if t.task == task and t.stage == "confirm"]
    run = len({confirm_seed(t) for t in confirm})
    last = len(plan.looks) - 1
    number = next((k for k, seeds in enumerate(plan.looks) if run <= seeds), last)
    return Look(looks=plan.looks, number=number)
