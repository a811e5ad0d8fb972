"""Confirm seeds look by look: the plan is on record before the first seed, each look after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from raykd.results.alpha_spending import spending_levels
from raykd.results.event_log import EventLog
from raykd.results.seed_looks import why_to_end
from raykd.results.store import load_results
from raykd.spec.schema import SweepSpec
from raykd.spec.schema_stages import SeedPlan


class SeedLooks:
    """The seeds of each look of a task, in turn, until its plan ends; a list of seeds is one look.

    Iterate over it, run what it gives, and call `taken`.

    Args:
        spec: The sweep.
        run: The run folder, where earlier looks are on record.
        log: The event log.
        task: Task name.
    """

    def __init__(self, spec: SweepSpec, run: Path, log: EventLog, task: str) -> None:
        self._confirm = spec.confirm
        self._run, self._log, self._task = run, log, task
        self._look = 0
        self._ended = ""
        self._is_recorded = False

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        looks, seeds = self._confirm.looks, self._confirm.all_seeds
        if not isinstance(self._confirm.seeds, SeedPlan):
            yield seeds
            return
        before = load_results(self._run).seed_plans.get(self._task)
        if before is None:
            self._log.emit(
                "seed_plan", task=self._task, looks=list(looks), levels=list(spending_levels(looks))
            )
        elif before.ended:
            looks = tuple(n for n in looks if n <= before.seeds)  # runs that were lost, once more
        done = before.seeds if before is not None else 0
        first = 0
        for self._look, last in enumerate(looks):
            if self._ended:
                return
            self._is_recorded = last <= done
            yield seeds[first:last]
            first = last

    def taken(self) -> None:
        """The runs of a look are over: record what it says."""
        if not isinstance(self._confirm.seeds, SeedPlan) or self._is_recorded:
            return
        result = load_results(self._run)
        plan = result.seed_plans[self._task]
        self._ended = why_to_end(result, self._task, plan, self._look)
        seeds = plan.looks[self._look]
        self._log.emit("seed_look", task=self._task, seeds=seeds, ended=self._ended)
