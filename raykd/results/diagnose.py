"""Caveats computed from the records: reasons to trust the verdict less, each with its threshold."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from raykd.params import show
from raykd.results.caveat import Caveat
from raykd.results.confirm_caveats import (
    collapsed,
    few_seeds,
    lost_confirm,
    missing,
    one_search,
    other_runs,
    same_value,
    undecided,
)
from raykd.results.constraint_caveats import constraint_caveats
from raykd.results.data_caveats import (
    rationale_in_prompt,
    same_split,
    shared_rows,
    teacher_rows,
    weak_teacher,
)
from raykd.results.early_stopping import stopped_too_early
from raykd.results.micro_batches import cut_batches
from raykd.results.precision import mixed_precision, teacher_precision
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.start_caveats import given_configurations
from raykd.results.summary import (
    ArmSummary,
    arm_summaries,
    best_trial,
    metric_of,
    named,
)

EDGE_SHARE = 0.02
LATE_SHARE = 0.10
MIN_TRIALS_FOR_LATE = 10  # below, the last tenth is less than one trial
MAX_FAILED_SHARE = 0.10


def diagnose(result: SweepResult) -> tuple[Caveat, ...]:
    """Every caveat that applies, task by task; the ones about the whole sweep come last."""
    caveats: list[Caveat] = []
    for record in result.tasks:
        arms = arm_summaries(result, record.name)
        for check in _TASK_CHECKS:
            caveats += check(result, record.name, arms)
    return (*caveats, *_mixed_runs(result))


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
        of_arm = result.of(task, arm.name, "search")
        places = [
            _place_of_best([t for t in of_arm if t.repeat == repeat], mode)
            for repeat in range(result.searches)
        ]
        late = [(place, count) for place, count in places if place > (1 - LATE_SHARE) * count]
        if 2 * len(late) <= len(places):
            continue
        where = f"in trial {late[0][0]} of {late[0][1]}"
        if len(places) > 1:
            where = f"among the last trials of {len(late)} of {len(places)} searches"
        yield Caveat(
            code="still-improving",
            task=task,
            arm=arm.name,
            message=(
                f"{named(arm.name, first=True)} found its best {where}: more of them may find a "
                "better one."
            ),
            hint="continue with more: raykd sweep --resume RUN --trials N",
        )


def _place_of_best(of_search: list[TrialResult], mode: str) -> tuple[int, int]:
    """Which trial of a search, counted from 1, is its best, and of how many; 0 of too few."""
    trials = sorted(of_search, key=lambda t: t.number)
    best = best_trial(tuple(trials), mode)
    if best is None or len(trials) < MIN_TRIALS_FOR_LATE:
        return 0, len(trials)
    return trials.index(best) + 1, len(trials)


def _unequal(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    counts = {a.name: a.num_search for a in arms}
    if result.spec.get("search", {}).get("device_budget_s") is not None:
        return  # what is equal is their device time
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


def _unfinished(result: SweepResult, task: str, arms: tuple[ArmSummary, ...]) -> Iterator[Caveat]:
    cut = sum(t.task == task and t.status is Status.INTERRUPTED for t in result.trials)
    if cut:
        yield Caveat(
            code="unfinished-trials",
            task=task,
            message=f"{cut} trial{'s were' if cut > 1 else ' was'} started and not finished.",
            hint=f"the same command with --resume finishes {'them' if cut > 1 else 'it'}",
        )


_Check = Callable[[SweepResult, str, tuple[ArmSummary, ...]], Iterator[Caveat]]
_TASK_CHECKS: tuple[_Check, ...] = (
    same_split, shared_rows, lost_confirm, collapsed, teacher_rows, few_seeds, undecided,
    weak_teacher, same_value, _unequal, _at_edge, _late_best, _failures, rationale_in_prompt,
    stopped_too_early, _unfinished, missing, other_runs, mixed_precision, teacher_precision,
    cut_batches, one_search, given_configurations, constraint_caveats,
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
        teachers = _different([run["teachers"][task] for run in runs if task in run["teachers"]])
        for what, seen in (("rows", prints), ("teachers", teachers)):
            if len(seen) > 1:
                yield Caveat(
                    code=f"mixed-{what}",
                    task=task,
                    message=f"The merged runs used different {what} ({', '.join(sorted(seen))}).",
                    hint="differences between arms of different runs may come from that alone",
                )


def _different(teachers: Sequence[Mapping[str, str]]) -> set[str]:
    """The identities of teachers that are not the same in all runs; empty where they are.

    Those of one name must be the same. Runs that share no name must share a teacher.

    Args:
        teachers: Those of each run by name, which is empty for the only one.
    """
    by_name: dict[str, set[str]] = {}
    for of_run in teachers:
        for name, identity in of_run.items():
            by_name.setdefault(name, set()).add(identity)
    ambiguous = {one for seen in by_name.values() if len(seen) > 1 for one in seen}
    for first, other in itertools.combinations(teachers, 2):
        if not first.keys() & other.keys() and not {*first.values()} & {*other.values()}:
            ambiguous |= {*first.values(), *other.values()}
    return ambiguous


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else show(value)
