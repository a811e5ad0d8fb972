"""Which test rows one arm gets right and another does not, next to what another run changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raykd.report.section import Section, template
from raykd.results.disagreement import Disagreement, disagreements
from raykd.results.records import SweepResult
from raykd.results.summary import arm_summaries, metric_of, named, rank_arms

MAX_LISTED = 40
COLUMNS = (
    "first", "second", "both right", "first alone", "second alone", "neither", "differ",
    "two runs of the first differ", "of the second",
)  # fmt: skip


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
    caption: str
    columns: tuple[str, ...]
    tasks: tuple[TaskDisagreement, ...]


def record(result: SweepResult) -> DisagreementRecord | None:
    """None where no outcomes of rows were kept, or rows are not right or wrong."""
    shown, heading = [], ""
    for task in (t.name for t in result.tasks):
        order = rank_arms(arm_summaries(result, task), metric_of(result, task)[1])
        pairs = disagreements({arm.name: arm.run_outcomes for arm in order})
        if pairs:
            heading = heading or _sentence(pairs[0], searches=result.searches)
            notes = tuple(note for pair in pairs for note in _notes(pair, result.searches))
            rows = tuple(_cells(pair) for pair in pairs)
            shown.append(TaskDisagreement(task=task, rows=rows, notes=notes))
    if not shown:
        return None
    runs = "seeds" if result.searches == 1 else "runs"
    return DisagreementRecord(
        heading=heading,
        caption=f"Shares of the test rows, over the {runs} that both arms have. Two arms that "
        f"differ no more than two {runs} of one of them are right on the same rows.",
        columns=COLUMNS,
        tasks=tuple(shown),
    )


def render(r: DisagreementRecord) -> str:
    """A table of each task, then the rows themselves."""
    return template("disagreement", r)


def _cells(pair: Disagreement) -> tuple[str, ...]:
    neither = 1.0 - pair.both - pair.differ
    shares = (pair.both, pair.first_alone, pair.second_alone, abs(neither), pair.differ)
    return pair.first, pair.second, *(_percent(share) for share in (*shares, *pair.churn))


def _sentence(pair: Disagreement, searches: int) -> str:
    same, runs = ("seed", "seeds") if searches == 1 else ("search and seed", "runs")
    text = (
        f"{named(pair.first, first=True)} and {named(pair.second)} differ on "
        f"{_percent(pair.differ)} of the test rows with the same {same}"
    )
    if pair.churn[0] is None:
        return text
    return f"{text}; two {runs} of {named(pair.first)} on {_percent(pair.churn[0])}"


def _notes(pair: Disagreement, searches: int) -> tuple[str, str]:
    """The rows that one arm always gets right and the other never does."""
    return (
        _always(pair.first, pair.second, pair.first_rows, searches),
        _always(pair.second, pair.first, pair.second_rows, searches),
    )


def _always(better: str, worse: str, rows: Sequence[int], searches: int) -> str:
    one = "seed" if searches == 1 else "search and seed"
    count = f"{len(rows):,} row{'s' * (len(rows) != 1)}"
    text = f"{named(better, first=True)} is right with every {one} and {named(worse)} with none on "
    more = f" and {len(rows) - MAX_LISTED:,} more" if len(rows) > MAX_LISTED else ""
    listed = ", ".join(str(row) for row in rows[:MAX_LISTED])
    return f"{text}{count}" + (f": {listed}{more}" if rows else "")


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"


SECTION = Section(order=27, title="On which rows do arms differ?", record=record, render=render)
