"""Caveats about the confirm runs: their number, what became of them, and what they can say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from raykd.results.arm_runs import RunKey, describe_runs
from raykd.results.caveat import Caveat
from raykd.results.differences import MIN_SEEDS
from raykd.results.records import SweepResult
from raykd.results.sentences import confidence
from raykd.results.summary import ArmSummary, named, scale_of

MAX_SINGLE = 3  # more arms with the same finding are one caveat


def few_seeds(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Arms with too few seeds."""
    short = [a for a in arms if len(a.seeds) < MIN_SEEDS]
    if not short:
        return
    counts = _counts(short, "seeds")
    if result.searches > 1:
        yield Caveat(
            code="few-searches",
            task=task,
            message=f"Fewer than {MIN_SEEDS} searches that were confirmed whole: {counts}.",
            hint="set search.repeats to 5, at least to 3; what is compared is searches",
        )
        return
    yield Caveat(
        code="few-seeds",
        task=task,
        message=f"Fewer than {MIN_SEEDS} confirm seeds: {counts}.",
        hint="list at least 5 under confirm.seeds; fewer say little about the spread",
    )


def undecided(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Arms that cannot be told apart from the baseline."""
    scale = scale_of(result, task)
    intervals = [
        (
            arm.name,
            confidence(arm.versus.corrected_alpha),
            f"{scale.signed(e.low)} to {scale.signed(e.high)}",
        )
        for arm in arms
        if arm.versus is not None and arm.versus.undecided
        for e in [arm.versus.corrected]
        if e.has_interval and e.low <= 0.0 <= e.high
    ]
    hint = (
        "where the difference matters, begin a new sweep with more confirm.seeds, or with a plan: "
        "{start: 5, then: [10, 20]}; seeds that are added without one, until zero is left out, "
        "find differences that are not there"
    )
    if result.searches > 1:
        hint = "where the difference matters, begin a new sweep with more search.repeats"
    if len(intervals) > MAX_SINGLE:
        together = ", ".join(f"{named(arm)} ({sure} CI {ends})" for arm, sure, ends in intervals)
        yield Caveat(
            code="interval-contains-zero",
            task=task,
            message=f"Not told apart from {named(result.baseline)}, because the interval of the "
            f"difference contains zero: {together}.",
            hint=hint,
        )
        return
    for arm, sure, ends in intervals:
        yield Caveat(
            code="interval-contains-zero",
            task=task,
            arm=arm,
            message=(
                f"{named(arm, first=True)} and {named(result.baseline)} cannot be told apart: "
                f"the {sure} interval of the difference, {ends}, contains zero."
            ),
            hint=hint,
        )


def lost_confirm(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Confirm runs that left no value."""
    for arm in arms:
        if not arm.lost:
            continue
        runs = len(arm.lost) + len(arm.runs) + len(arm.missing)
        reasons: dict[str, list[RunKey]] = {}
        for run, reason in arm.lost.items():
            reasons.setdefault(reason, []).append(run)
        why = "; ".join(f"{describe_runs(s)}: {reason}" for reason, s in reasons.items())
        yield Caveat(
            code="lost-confirm-runs",
            task=task,
            arm=arm.name,
            message=(
                f"{named(arm.name, first=True)} lost {len(arm.lost)} of {runs} confirm runs "
                f"({why})."
            ),
            hint="its mean is that of the seeds it survived, so it is not the arm to take; "
            "raykd sweep --resume RUN runs them again",
        )


def collapsed(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Confirm runs that collapsed; they stay in the mean."""
    scale = scale_of(result, task)
    for arm in arms:
        if not arm.collapsed:
            continue
        values = list(arm.runs.values())
        span = f"{scale.show(min(values))} to {scale.show(max(values))}"
        yield Caveat(
            code="collapsed-runs",
            task=task,
            arm=arm.name,
            message=(
                f"{len(arm.collapsed)} of {len(values)} confirm runs of {named(arm.name)} "
                f"collapsed ({describe_runs(arm.collapsed)}): median "
                f"{scale.show(median(values))}, range {span}."
            ),
            hint="they are part of its mean; intervals of so uneven values miss the true mean more "
            "often than they say (up to 20 %), and those of the other arms allow for as many",
        )


def one_search(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """What a verdict on one search is about."""
    counts = [a.num_search for a in arms if a.num_search and a.seeds]
    if not counts or result.searches > 1:
        return
    span = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    trials = f"{span} trial{'s' * (max(counts) > 1)}"
    yield Caveat(
        code="one-search",
        task=task,
        message=f"Each arm is one configuration, found by one search of {trials}.",
        hint="another search would find another one: what is decided holds for these "
        "configurations; of the methods it says less (search.repeats compares those)",
    )


def other_runs(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Confirm runs of configurations that do not stand for their arm."""
    for arm in arms:
        if arm.other_runs:
            yield Caveat(
                code="other-configuration",
                task=task,
                arm=arm.name,
                message=(
                    f"{arm.other_runs} confirm runs of {named(arm.name)} had another "
                    "configuration than the one that is shown, and are left out."
                ),
                hint="the best of the search changed between them; raykd sweep --resume RUN "
                "completes the newer one",
            )


def missing(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Planned confirm runs that have not ended."""
    short = [a for a in arms if a.missing]
    if short:
        yield Caveat(
            code="unfinished-confirm",
            task=task,
            message=(
                f"Confirm runs that were planned and have not ended: {_counts(short, 'missing')}."
            ),
            hint="raykd sweep --resume RUN runs them",
        )


def _counts(arms: Sequence[ArmSummary], what: str) -> str:
    """How many seeds of each arm are in one of its fields: ``kd 2, ckd 1``."""
    return ", ".join(f"{named(arm.name)} {len(getattr(arm, what))}" for arm in arms)


def same_value(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    """Arms whose runs all score the same, or what one answer scores."""
    scale = scale_of(result, task)
    constant = result.task(task).constant.get("test", ())
    for arm in arms:
        values = list(arm.runs.values())
        flat = [v for v in values if any(math.isclose(v, c, abs_tol=1e-9) for c in constant)]
        if len(flat) > 1 and 2 * len(flat) >= len(values):  # one alone may be chance
            shown = ", ".join(scale.show(v) for v in sorted(set(flat)))
            yield Caveat(
                code="one-class",
                task=task,
                arm=arm.name,
                message=(
                    f"{named(arm.name, first=True)} scores in {len(flat)} of {len(values)} "
                    f"confirm runs exactly what the same answer for every row scores ({shown}): "
                    "it has probably learnt nothing there."
                ),
                hint="train longer, raise lr, or lower the weight of its terms",
            )
        elif len(values) >= MIN_SEEDS and len(set(values)) == 1:
            yield Caveat(
                code="same-value",
                task=task,
                arm=arm.name,
                message=f"{named(arm.name, first=True)} has {scale.show(values[0])} with every "
                "seed.",
                hint="equal scores are no certainty; see whether seeds and training did anything",
            )
