"""Caveats computed from the records: reasons to trust the verdict less, each with its threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from raykd.params import show
from raykd.results.caveat import Caveat
from raykd.results.data_caveats import (
    rationale_in_prompt,
    same_split,
    shared_rows,
    teacher_rows,
    weak_teacher,
)
from raykd.results.micro_batches import cut_batches
from raykd.results.precision import mixed_precision
from raykd.results.records import Status, SweepResult
from raykd.results.stats import MIN_SEEDS
from raykd.results.summary import (
    ArmSummary,
    arm_summaries,
    best_trial,
    metric_of,
    named,
    scale_of,
)

MAX_SINGLE = 3  # more arms with the same finding are one caveat
EDGE_SHARE = 0.02
LATE_SHARE = 0.10
MIN_TRIALS_FOR_LATE = 10  # below, the last tenth is less than one trial
MAX_FAILED_SHARE = 0.10


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
    counts = ", ".join(f"{named(a.name)} {len(a.seeds)}" for a in short)
    yield Caveat(
        code="few-seeds",
        task=task,
        message=f"Fewer than {MIN_SEEDS} confirm seeds: {counts}.",
        hint="list at least 5 under confirm.seeds; fewer say little about the spread",
    )


def _undecided(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    scale = scale_of(result, task)
    found = [
        (arm.name, f"{scale.signed(e.low)} to {scale.signed(e.high)}")
        for arm in arms
        if arm.versus is not None and arm.versus.undecided
        for e in [arm.versus.interval]
        if e.has_interval and e.low <= 0.0 <= e.high
    ]
    hint = (
        "where the difference matters, begin a new sweep with more confirm.seeds; seeds that are "
        "added until zero is left out find differences that are not there"
    )
    if len(found) > MAX_SINGLE:
        together = ", ".join(f"{named(arm)} ({interval})" for arm, interval in found)
        yield Caveat(
            code="interval-contains-zero",
            task=task,
            message=f"Not told apart from {named(result.baseline)}, because the interval of the "
            f"difference contains zero: {together}.",
            hint=hint,
        )
        return
    for arm, interval in found:
        yield Caveat(
            code="interval-contains-zero",
            task=task,
            arm=arm,
            message=(
                f"{named(arm, first=True)} and {named(result.baseline)} cannot be told apart: "
                f"the interval of the difference, {interval}, contains zero."
            ),
            hint=hint,
        )


def _at_edge(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    for arm in arms:
        if arm.best is None:
            continue
        for name, domain in domains_of(result, arm.name).items():
            edge = near_edge(domain, arm.best.params.get(name))
            if edge:
                yield Caveat(
                    code="best-at-edge",
                    task=task,
                    arm=arm.name,
                    message=(
                        f"The best {name} of {named(arm.name)}, "
                        f"{_short(arm.best.params[name])}, lies at the {edge} edge of its domain "
                        f"[{_short(domain['low'])}, {_short(domain['high'])}]."
                    ),
                    hint=f"widen the {edge} edge of {name}, if the method allows it",
                )


def domains_of(result: SweepResult, arm: str) -> dict[str, Mapping[str, Any]]:
    """The searched domains of an arm by parameter, those of training included, as plain data."""
    train = result.spec["train"].get("domains", {})
    own = result.spec["methods"].get(arm, {}).get("domains", {})
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
        trials = sorted(result.of(task, arm.name, "search"), key=lambda t: t.number)
        best = best_trial(tuple(trials), mode)
        if best is None or len(trials) < MIN_TRIALS_FOR_LATE:
            continue
        place = trials.index(best) + 1
        if place > (1 - LATE_SHARE) * len(trials):
            yield Caveat(
                code="still-improving",
                task=task,
                arm=arm.name,
                message=(
                    f"{named(arm.name, first=True)} found its best in trial {place} of "
                    f"{len(trials)}: more of them may find a better one."
                ),
                hint="continue with more: raykd sweep --resume RUN --trials N",
            )


def _unequal(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    counts = {a.name: a.num_search for a in arms}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{named(arm)} {n}" for arm, n in counts.items())
        yield Caveat(
            code="unequal-trials",
            task=task,
            message=f"The arms did not get the same number of search trials: {listed}.",
            hint="more tries find better maxima; resume until all arms have the same number",
        )


def _failures(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    for arm in arms:
        failed = arm.counts.get(Status.FAILED, 0)
        if arm.num_search and failed / arm.num_search > MAX_FAILED_SHARE:
            yield Caveat(
                code="many-failed",
                task=task,
                arm=arm.name,
                message=f"{failed} of {arm.num_search} search trials of {named(arm.name)} failed.",
                hint="see what failed below; a region of the space may have been lost",
            )


def _lost_confirm(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    for arm in arms:
        if not arm.lost:
            continue
        runs = len(arm.lost) + len(arm.seeds) + len(arm.missing)
        reasons: dict[str, list[int]] = {}
        for seed, reason in arm.lost.items():
            reasons.setdefault(reason, []).append(seed)
        why = "; ".join(f"{_seeds(s)}: {reason}" for reason, s in reasons.items())
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


def _other_runs(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
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


def _missing(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    short = {a.name: len(a.missing) for a in arms if a.missing}
    if short:
        listed = ", ".join(f"{named(arm)} {count}" for arm, count in short.items())
        yield Caveat(
            code="unfinished-confirm",
            task=task,
            message=f"Confirm runs that were planned and have not ended: {listed}.",
            hint="raykd sweep --resume RUN runs them",
        )


def _same_value(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    scale = scale_of(result, task)
    constant = result.task(task).constant.get("test", ())
    for arm in arms:
        values = list(arm.seeds.values())
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
    same_split, shared_rows, _lost_confirm, teacher_rows, _few_seeds, _undecided, weak_teacher,
    _same_value, _unequal, _at_edge, _late_best, _failures, rationale_in_prompt, _unfinished,
    _missing, _other_runs, mixed_precision, cut_batches,
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


def _seeds(seeds: list[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(str(s) for s in seeds)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else show(value)
