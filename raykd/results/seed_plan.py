"""The look of a plan of seeds that the confirm runs of a task belong to."""

from __future__ import annotations

from collections.abc import Sequence

from raykd.results.alpha_spending import Look
from raykd.results.confirmed import confirm_seed
from raykd.results.records import SweepResult
from raykd.results.seed_plan_record import SeedPlanRecord


def look_of(result: SweepResult, task: str) -> Look:
    """The look at which the arms of a task are compared.

    That at which the plan ended, where seeds were added by a plan, else the one that the confirm
    runs so far make up. Between two looks it is the stricter of them.
    """
    plan = result.seed_plans.get(task)
    if plan is None:
        return Look()
    confirm = [t for t in result.trials if t.task == task and t.stage == "confirm"]
    run = plan.seeds if plan.ended else len({confirm_seed(t) for t in confirm})
    last = len(plan.looks) - 1
    number = next((k for k, seeds in enumerate(plan.looks) if run <= seeds), last)
    if number > 0 and run < plan.looks[number] and plan.levels[number - 1] < plan.levels[number]:
        number -= 1
    return Look(looks=plan.looks, number=number, levels=plan.levels)


def strictest(results: Sequence[SweepResult]) -> dict[str, SeedPlanRecord]:
    """Of each task, the plan of the run whose look has the least level: for arms of several runs.

    Each arm is selected by the looks of its own run, or by none. A comparison at the least of their
    levels is wrong no more often than any of them would be.
    """
    plans: dict[str, tuple[float, SeedPlanRecord]] = {}
    for result in results:
        for task, plan in result.seed_plans.items():
            level = look_of(result, task).level()
            if task not in plans or level < plans[task][0]:
                plans[task] = level, plan
    return {task: plan for task, (_, plan) in plans.items()}
