"""Caveats computed from the records: reasons to trust the verdict less, each with its threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raykd.params import show
from raykd.results.records import Status, SweepResult
from raykd.results.summary import (
    ArmSummary,
    arm_summaries,
    best_trial,
    metric_of,
    scale_of,
    teacher_score,
    without_teacher,
)

MIN_SEEDS = 3
MAX_SINGLE = 3  # more arms with the same finding are one caveat
EDGE_SHARE = 0.02
LATE_SHARE = 0.10
MIN_TRIALS_FOR_LATE = 10  # below, the last tenth is less than one trial
MAX_FAILED_SHARE = 0.10


@dataclass(frozen=True, kw_only=True, slots=True)
class Caveat:
    """One reason for care.

    Attributes:
        code: Stable short name, e.g. ``few-seeds``.
        message: What was found, with its numbers.
        hint: What to do about it.
        task: Task it concerns, empty for the whole sweep.
        label: Arm it concerns, empty for all.
    """

    code: str
    message: str
    hint: str = ""
    task: str = ""
    label: str = ""


def diagnose(result: SweepResult) -> tuple[Caveat, ...]:
    """Every caveat that applies, task by task; the ones about the whole sweep come last."""
    found: list[Caveat] = []
    for record in result.tasks:
        arms = arm_summaries(result, record.name)
        for check in _TASK_CHECKS:
            found += check(result, record.name, arms)
    return (*found, *_mixed_runs(result))


def _few_seeds(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    short = [a for a in arms if len(a.seeds) < MIN_SEEDS]
    if not short:
        return
    counts = ", ".join(f"{a.label} {len(a.seeds)}" for a in short)
    yield Caveat(
        code="few-seeds",
        task=task,
        message=f"Fewer than {MIN_SEEDS} confirm seeds: {counts}.",
        hint="list at least 5 under confirm.seeds; fewer say little about the spread",
    )


def _undecided(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    scale = scale_of(result, task)
    found = [
        (arm.label, f"{scale.signed(e.low)} to {scale.signed(e.high)}")
        for arm in arms
        if arm.versus is not None and arm.versus.undecided
        for e in [arm.versus.estimate]
        if e.has_interval
    ]
    hint = "add confirm seeds if the difference would matter to you"
    if len(found) > MAX_SINGLE:
        together = ", ".join(f"{label} ({interval})" for label, interval in found)
        yield Caveat(
            code="interval-contains-zero",
            task=task,
            message=f"Not told apart from {result.baseline}, because the interval of the "
            f"difference contains zero: {together}.",
            hint=hint,
        )
        return
    for label, interval in found:
        yield Caveat(
            code="interval-contains-zero",
            task=task,
            label=label,
            message=(
                f"{label} and {result.baseline} cannot be told apart: the interval of the "
                f"difference, {interval}, contains zero."
            ),
            hint=hint,
        )


def _at_edge(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    for arm in arms:
        if arm.best is None:
            continue
        for name, domain in domains_of(result, arm.label).items():
            edge = near_edge(domain, arm.best.params.get(name))
            if edge:
                yield Caveat(
                    code="best-at-edge",
                    task=task,
                    label=arm.label,
                    message=(
                        f"The best {name} of {arm.label}, {_short(arm.best.params[name])}, lies at "
                        f"the {edge} edge of its domain [{_short(domain['low'])}, "
                        f"{_short(domain['high'])}]."
                    ),
                    hint=f"widen the {edge} edge of {name}, if the method allows it",
                )


def domains_of(result: SweepResult, label: str) -> dict[str, Mapping[str, Any]]:
    """The searched domains of an arm by parameter, those of training included, as plain data."""
    train = result.spec["train"].get("domains", {})
    own = result.spec["methods"].get(label, {}).get("domains", {})
    return {**train, **own}


def near_edge(domain: Mapping[str, Any], value: object) -> str:
    """``lower`` or ``upper`` when a value lies within 2 % of that edge, else empty.

    Distances are taken on the log scale for log domains. Choices have no edges.
    """
    if domain["kind"] == "choice" or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    low, high, at = float(domain["low"]), float(domain["high"]), float(value)
    if domain["kind"] in ("loguniform", "logint"):
        low, high, at = math.log(low), math.log(high), math.log(at) if at > 0 else -math.inf
    if high <= low:
        return ""
    place = (at - low) / (high - low)
    if place <= EDGE_SHARE:
        return "lower"
    return "upper" if place >= 1 - EDGE_SHARE else ""


def _late_best(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    _, mode = metric_of(result, task)
    for arm in arms:
        trials = sorted(result.of(task, arm.label, "search"), key=lambda t: t.number)
        best = best_trial(tuple(trials), mode)
        if best is None or len(trials) < MIN_TRIALS_FOR_LATE:
            continue
        place = trials.index(best) + 1
        if place > (1 - LATE_SHARE) * len(trials):
            yield Caveat(
                code="still-improving",
                task=task,
                label=arm.label,
                message=(
                    f"{arm.label} found its best in trial {place} of {len(trials)}: the search "
                    "was still improving."
                ),
                hint="continue with more: raykd sweep --resume RUN --trials N",
            )


def _unequal(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    counts = {a.label: a.num_search for a in arms}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{label} {n}" for label, n in counts.items())
        yield Caveat(
            code="unequal-trials",
            task=task,
            message=f"The arms did not get the same number of search trials: {listed}.",
            hint="more tries find better maxima; resume until all arms have the same number",
        )


def _same_split(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    record = result.task(task)
    if record.select_on == record.report_on:
        yield Caveat(
            code="select-is-report",
            task=task,
            message=f"The search and the report use the same rows ({record.select_on}).",
            hint="the numbers are too high; give data.select_on and data.report_on other splits",
        )


def _failures(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    for arm in arms:
        failed = arm.counts.get(Status.FAILED, 0)
        if arm.num_search and failed / arm.num_search > MAX_FAILED_SHARE:
            yield Caveat(
                code="many-failed",
                task=task,
                label=arm.label,
                message=f"{failed} of {arm.num_search} search trials of {arm.label} failed.",
                hint="see what failed below; a region of the space may have been lost",
            )


def _weak_teacher(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    none = without_teacher(arms)
    if none is None:
        return
    _, mode = metric_of(result, task)
    split = "report" if none.confirmed else "select"
    teacher = teacher_score(result, task, split)
    alone = none.score if none.confirmed else (none.best.objective if none.best else None)
    if teacher is None or alone is None:
        return
    if teacher >= alone if mode == "min" else teacher <= alone:
        scale = scale_of(result, task)
        yield Caveat(
            code="weak-teacher",
            task=task,
            message=(
                f"The teacher ({scale.show(teacher)}) is not better than a student without one "
                f"({scale.show(alone)})."
            ),
            hint="train the teacher longer or on more rows; there is little to distil",
        )


def _same_value(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    for arm in arms:
        values = set(arm.seeds.values())
        if len(arm.seeds) >= MIN_SEEDS and len(values) == 1:
            yield Caveat(
                code="same-value",
                task=task,
                label=arm.label,
                message=(
                    f"{arm.label} has {scale_of(result, task).show(values.pop())} with every seed: "
                    "its students probably predict one class for every row."
                ),
                hint="train longer, raise lr, or lower the weight of its terms; its interval of "
                "width 0 is no certainty",
            )


def _teacher_rows(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    rows = result.task(task).rows
    teacher, train = rows.get("teacher", 0), rows.get("train", 0)
    if teacher > train > 0:
        yield Caveat(
            code="teacher-saw-more",
            task=task,
            message=f"The teacher was trained on {teacher:,} rows, the students on {train:,}.",
            hint="part of any gain is the teacher's extra data; none had no access to it",
        )


def _told(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    if result.spec["data"].get("rationales", {}).get("as_input"):
        yield Caveat(
            code="rationale-input",
            task=task,
            message="Rationales are part of every prompt, also of those that are scored: whoever "
            "wrote them has seen the question, and perhaps the answer, so it may leak into the "
            "prompt.",
            hint="the scores hold only where such a rationale is at hand when the student is used; "
            "step_by_step learns from rationales without needing them then",
        )


def _unfinished(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    cut = sum(t.task == task and t.status is Status.INTERRUPTED for t in result.trials)
    if cut:
        yield Caveat(
            code="unfinished-trials",
            task=task,
            message=f"{cut} trials were started and not finished.",
            hint="the same command with --resume finishes them",
        )


_Check = Callable[[SweepResult, str, tuple[ArmSummary, ...]], Iterator[Caveat]]
_TASK_CHECKS: tuple[_Check, ...] = (
    _teacher_rows, _few_seeds, _undecided, _same_split, _weak_teacher, _same_value, _unequal,
    _at_edge, _late_best, _failures, _told, _unfinished,
)  # fmt: skip


def _mixed_runs(result: SweepResult) -> Iterator[Caveat]:
    """Differences between merged runs; `raykd.results.merge` leaves what to compare in ``env``."""
    runs = result.env.get("merged", ())
    if len(runs) < 2:
        return
    for what, key in (("package versions", "packages"), ("training settings", "train")):
        if any(run[key] != runs[0][key] for run in runs[1:]):
            yield Caveat(
                code=f"mixed-{key}",
                message=f"The merged runs have different {what}.",
                hint="see Reproduce; compare within a run where this may matter",
            )
    for task in dict.fromkeys(name for run in runs for name in run["data"]):
        prints = {run["data"][task] for run in runs if task in run["data"]}
        teachers = {run["teachers"][task] for run in runs if task in run["teachers"]}
        for what, seen in (("rows", prints), ("teachers", teachers)):
            if len(seen) > 1:
                yield Caveat(
                    code=f"mixed-{what}",
                    task=task,
                    message=f"The merged runs used different {what} ({', '.join(sorted(seen))}).",
                    hint="differences between arms of different runs may come from that alone",
                )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else show(value)
