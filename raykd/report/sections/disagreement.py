"""Which test rows one arm gets right and another does not, beside what another seed changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raykd.report.section import Section, template
from raykd.results.records import SweepResult
from raykd.results.summary import ArmSummary, arm_summaries, metric_of, named, rank_arms

MAX_LISTED = 40
COLUMNS = (
    "first", "second", "both right", "first alone", "second alone", "neither", "differ",
    "two seeds of the first differ", "of the second",
)  # fmt: skip

Right = NDArray[np.bool_]
"""Whether each row is right in each run, ``[S, R]``; S confirm seed, R test row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskDisagreement:
    """The pairs of one task."""

    task: str
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DisagreementRecord:
    """Every task whose test rows are right or wrong."""

    heading: str
    columns: tuple[str, ...]
    tasks: tuple[TaskDisagreement, ...]


def record(result: SweepResult) -> DisagreementRecord | None:
    """None where no outcomes of rows were kept, or rows are not right or wrong."""
    shown, heading = [], ""
    for task in (t.name for t in result.tasks):
        arms = rank_arms(arm_summaries(result, task), metric_of(result, task)[1])
        right = [(arm, of) for arm in arms if (of := _right(arm)) is not None]
        pairs = [pair for other in right[1:] if (pair := _pair(right[0], other)) is not None]
        if pairs:
            shown.append(
                TaskDisagreement(
                    task=task,
                    rows=tuple(pair.cells for pair in pairs),
                    notes=tuple(note for pair in pairs for note in pair.notes),
                )
            )
            heading = heading or pairs[0].sentence
    if not shown:
        return None
    return DisagreementRecord(heading=heading, columns=COLUMNS, tasks=tuple(shown))


def render(r: DisagreementRecord) -> str:
    """A table of each task, then the rows themselves."""
    return template("disagreement", r)


def _right(arm: ArmSummary) -> tuple[tuple[int, ...], Right] | None:
    """Seeds of an arm and whether each row is right there; None where that is not so."""
    seeds = tuple(seed for seed in arm.seeds if seed in arm.outcomes)
    values = [arm.outcomes[seed] for seed in seeds]
    if not values or len({len(of) for of in values}) > 1:
        return None
    table = np.stack(values)
    return (seeds, table == 1.0) if np.isin(table, (0.0, 1.0)).all() else None


@dataclass(frozen=True, slots=True)
class _Pair:
    cells: tuple[str, ...]
    notes: tuple[str, ...]
    sentence: str


_Answers = tuple[ArmSummary, tuple[tuple[int, ...], Right]]


def _pair(first: _Answers, second: _Answers) -> _Pair | None:
    """Two arms on the seeds that both have; None without any, or on other rows."""
    (one, (own, a)), (other, (its, b)) = first, second
    shared = [seed for seed in own if seed in its]
    if not shared or a.shape[1] != b.shape[1]:
        return None
    x, y = a[[own.index(s) for s in shared]], b[[its.index(s) for s in shared]]
    parts = [(x & y).mean(), (x & ~y).mean(), (~x & y).mean(), (~x & ~y).mean()]
    differ, of_first, of_second = parts[1] + parts[2], _churn(a), _churn(b)
    cells = (
        one.name, other.name, *(_percent(part) for part in parts), _percent(differ),
        _percent(of_first), _percent(of_second),
    )  # fmt: skip
    sentence = (
        f"{named(one.name, first=True)} and {named(other.name)} differ on {_percent(differ)} of "
        "the test rows with the same seed"
    )
    if of_first is not None:
        sentence += f"; two seeds of {named(one.name)} on {_percent(of_first)}"
    return _Pair(cells, tuple(_listed(one, other, x, y)), sentence)


def _churn(right: Right) -> float | None:
    """The share of rows on which two runs of an arm differ; None of one run."""
    pairs = [(p != q).mean() for p, q in itertools.combinations(right, 2)]
    return float(np.mean(pairs)) if pairs else None


def _listed(one: ArmSummary, other: ArmSummary, x: Right, y: Right) -> Iterator[str]:
    """The rows that one arm always gets right and the other never does."""
    for better, worse, good, bad in ((one, other, x, y), (other, one, y, x)):
        rows = np.flatnonzero(good.all(0) & ~bad.any(0)).tolist()
        yield (
            f"{named(better.name, first=True)} is right with every seed and {named(worse.name)} "
            f"with none on {len(rows):,} rows" + (f": {_numbers(rows)}" if rows else "")
        )


def _numbers(rows: Sequence[int]) -> str:
    shown = ", ".join(str(row) for row in rows[:MAX_LISTED])
    return shown + (f" and {len(rows) - MAX_LISTED:,} more" if len(rows) > MAX_LISTED else "")


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"


SECTION = Section(order=27, title="On which rows do arms differ?", record=record, render=render)
