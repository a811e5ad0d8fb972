"""Early stopping: which trials it ended, whether it could know, and what it may have cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raykd.report.section import Section, template
from raykd.results.early_stopping import MIN_PAIRS, EarlyStopping, Rung, early_stopping
from raykd.results.records import SweepResult


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingRecord:
    """What it did on each task, and the rungs."""

    heading: str
    findings: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def record(result: SweepResult) -> StoppingRecord | None:
    """None where no trial was stopped early, or would have been."""
    by_task = {t.name: early_stopping(result, t.name) for t in result.tasks}
    there = {task: of for task, of in by_task.items() if of is not None}
    if not there:
        return None
    return StoppingRecord(
        heading=_heading(list(there.values())),
        findings=tuple((task, _finding(of)) for task, of in there.items()),
        columns=("task", "after epoch", "stopped", "pairs in the order of the end",
                 "rank correlation with the end"),
        rows=tuple((task, *_row(rung)) for task, of in there.items() for rung in of.rungs),
    )  # fmt: skip


def render(r: StoppingRecord) -> str:
    """Sentences and a table."""
    return template("stopping", r)


def _heading(outcomes: list[EarlyStopping]) -> str:
    stopped, trials = sum(f.stopped for f in outcomes), sum(f.trials for f in outcomes)
    early = f"{stopped} of {trials} search trials were stopped early"
    spared, best = sum(f.spared for f in outcomes), sum(f.lost_best for f in outcomes)
    if not spared:
        return f"{early}; whether one of them would have been best is not known"
    return f"{early}; of {spared} like them that ran on, {best} became the best of their arm"


def _finding(outcome: EarlyStopping) -> str:
    if not outcome.control:
        return (
            "No trial was kept from being stopped (search.control), so nothing is known of what "
            "the stopped ones would have become."
        )
    spared = (
        f"{outcome.spared} of {outcome.control} trials of the control group would have been stopped"
    )
    if not outcome.spared:
        return f"{spared}: nothing is known of what the stopped ones would have become."
    return (
        f"{spared}; {outcome.lost_best} of them became the best of their arm. So at most "
        f"{outcome.most_lost:.0%} of the {outcome.stopped} that were stopped would have "
        "(upper 95 % bound)."
    )


def _row(rung: Rung) -> tuple[str, str, str, str]:
    pairs = f"{rung.in_order} of {rung.pairs}" if rung.pairs else "no pairs"
    tau = f"{rung.tau:.2f}" if not math.isnan(rung.tau) and rung.pairs >= MIN_PAIRS else "too few"
    return f"{rung.epoch:g}", str(rung.stopped), pairs, tau


SECTION = Section(order=35, title="What did early stopping cost?", record=record, render=render)
