"""Benchmarks: confirmed students on tasks of an evaluation harness, arm by arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raykd.report.section import Section, template
from raykd.results.differences import MIN_SEEDS
from raykd.results.outside import OutsideArm, compare_outside, rows_are_counted
from raykd.results.outside_score import OutsideScore
from raykd.results.records import SweepResult
from raykd.results.seed_plan import look_of

COLUMNS = ("arm", "mean", "95 % interval", "sd", "seeds", "difference to baseline", "p (Holm)")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkTable:
    """One metric of one benchmark."""

    title: str
    caption: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarksRecord:
    """A table for each metric of each benchmark."""

    heading: str
    columns: tuple[str, ...]
    tables: tuple[BenchmarkTable, ...]


def record(result: SweepResult) -> BenchmarksRecord | None:
    """None where nothing was evaluated elsewhere."""
    groups: dict[tuple[str, str, str, int, int], list[OutsideScore]] = {}
    for score in result.outside:
        key = (score.task, score.benchmark, score.metric, score.shots, score.rows)
        groups.setdefault(key, []).append(score)
    if not groups:
        return None
    tables = tuple(_table(result, scores) for scores in groups.values())
    names = dict.fromkeys(score.benchmark for score in result.outside)
    students = {score.trial_id for score in result.outside}
    return BenchmarksRecord(
        heading=f"{len(students)} confirmed students on {', '.join(names)}",
        columns=COLUMNS,
        tables=tables,
    )


def render(r: BenchmarksRecord) -> str:
    """The tables."""
    return template("benchmarks", r)


def _table(result: SweepResult, scores: list[OutsideScore]) -> BenchmarkTable:
    first = scores[0]
    look = look_of(result, first.task)
    arms = compare_outside(scores, result.arms, result.baseline, look)
    caption = [*_caption(first, arms, rows_are_counted(scores))]
    if len(look.looks) > 1:
        caption.append("p and intervals are corrected for all looks at the seeds")
    return BenchmarkTable(
        title=f"{first.benchmark}: {first.metric} of students of {first.task}",
        caption=". ".join(caption) + ".",
        rows=tuple(_row(arm, result.baseline) for arm in arms),
    )


def _caption(
    score: OutsideScore, arms: tuple[OutsideArm, ...], rows_counted: bool
) -> Iterator[str]:
    rows = f"{score.rows:,} rows, {score.shots} examples before each"
    yield f"{score.harness}; {rows}; {'lower' if score.mode == 'min' else 'higher'} is better"
    yield (
        "Intervals are over seeds and rows, as in the verdict"
        if rows_counted
        else "Intervals are over seeds alone, for these rows: the outcomes of single rows were not "
        "kept, or the metric has none"
    )
    yield "Positive differences are better, whatever the metric"
    if max((arm.mean.n for arm in arms), default=0) < MIN_SEEDS:
        yield (
            f"Fewer than {MIN_SEEDS} seeds decide nothing; confirm.keep: all keeps the students of "
            "all of them"
        )
    yield "Nothing was searched for on these rows, and several benchmarks are several looks"


def _row(arm: OutsideArm, baseline: str) -> tuple[str, ...]:
    mean, versus = arm.mean, arm.versus
    interval = f"{mean.low:.3g} to {mean.high:.3g}" if mean.has_interval else "n/a"
    if arm.name == baseline:
        difference = "baseline"
    elif versus is None:
        difference = "n/a"
    else:
        wide = versus.corrected
        ends = f" ({wide.low:+.3g} to {wide.high:+.3g}" if versus.n > 1 else " (one seed"
        difference = f"{versus.mean:+.3g}{ends}{', not told apart' * versus.undecided})"
    p = "n/a" if arm.p_holm is None else f"{arm.p_holm:.2g}"
    sd = f"{mean.sd:.2g}" if mean.n > 1 else "n/a"
    return arm.name, f"{mean.mean:.4g}", interval, sd, str(mean.n), difference, p


SECTION = Section(order=27, title="And on other benchmarks?", record=record, render=render)
