"""Rows without a label: which arms learnt from them, and what that changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raykd.report.section import Section, template
from raykd.results.records import UNLABELLED, SweepResult, TaskRecord
from raykd.results.summary import ArmSummary, arm_summaries, compare, scale_of, task_metric

COLUMNS = ("task", "arm", "rows without a label", "rows it learnt from", "score")
_WORDS = {"yes": "learnt through the teacher", "no": "left out", "some": "searched"}


@dataclass(frozen=True, kw_only=True, slots=True)
class UnlabelledRecord:
    """One row per task and arm, and a sentence for each pair of arms that differ in this alone."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    pairs: tuple[str, ...]


def record(result: SweepResult) -> UnlabelledRecord | None:
    """None where every row has a label."""
    tasks = [t for t in result.tasks if t.unlabelled]
    if not tasks:
        return None
    rows, pairs = [], []
    for task in tasks:
        arms = arm_summaries(result, task.name)
        rows += [_row(result, task, arm) for arm in arms]
        pairs += [*_pairs(result, task, arms)]
    total = sum(task.rows.get(UNLABELLED, 0) for task in tasks)
    return UnlabelledRecord(
        heading=f"{total:,} train rows have no label: the teacher's outputs alone teach there, and "
        "the task loss counts the rows that have one",
        columns=COLUMNS,
        rows=tuple(rows),
        pairs=tuple(pairs),
    )


def render(r: UnlabelledRecord) -> str:
    """The table and the sentences."""
    return template("unlabelled", r)


def _row(result: SweepResult, task: TaskRecord, arm: ArmSummary) -> tuple[str, ...]:
    use = task.unlabelled.get(arm.name, "no")
    every, without = task.rows.get("train", 0), task.rows.get(UNLABELLED, 0)
    learnt = {"yes": f"{every:,}", "no": f"{every - without:,}"}
    scale = scale_of(result, task.name)
    return (
        task.name,
        arm.name,
        _WORDS[use],
        learnt.get(use, f"{every - without:,} or {every:,}"),
        scale.show(arm.confirmed.mean) if arm.confirmed else "n/a",
    )


def _pairs(result: SweepResult, task: TaskRecord, arms: tuple[ArmSummary, ...]) -> Iterator[str]:
    """What rows without a label changed, for arms that are the same but for them."""
    scale = scale_of(result, task.name)
    together = compare(task_metric(result, task.name), arms)
    uses = task.unlabelled
    for arm in (a for a in arms if uses.get(a.name) == "yes"):
        for other in (a for a in arms if uses.get(a.name) == "no"):
            gain = together.difference(arm.name, other.name)
            if _without(result, arm.name) != _without(result, other.name) or gain is None:
                continue
            low, high = scale.signed(gain.interval.low), scale.signed(gain.interval.high)
            yield (
                f"{task.name}: with them {arm.name} is at {scale.signed(gain.mean)} {scale.unit} "
                f"against {other.name}, which is the same without them (interval {low} to {high}, "
                f"{gain.n} seeds{', cannot be told apart' if gain.undecided else ''}). An epoch "
                "of it is as many steps longer as there are more rows."
            )


def _without(result: SweepResult, name: str) -> dict[str, Any]:
    """An arm of the file without its name, and without whether it learns from such rows.

    Configurations of an earlier run, which its search begins with, make no other arm of it.
    """
    arm = dict(result.spec["methods"].get(name, {}))
    for key in ("name", "start"):
        arm.pop(key, None)
    fixed = {k: v for k, v in (arm.get("fixed") or {}).items() if k != "unlabelled"}
    return {**arm, "fixed": fixed}


SECTION = Section(order=27, title="Rows without a label", record=record, render=render)
