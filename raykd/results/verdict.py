"""The verdict on a task: which arm leads, by how much, and with what confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raykd.results import sentences
from raykd.results.arm_teachers import best_teacher
from raykd.results.differences import Comparison, PairedDifference, all_against
from raykd.results.records import SweepResult
from raykd.results.sentences import listed
from raykd.results.stats import ALPHA, holm_correction
from raykd.results.summary import (
    ArmSummary,
    TaskMetric,
    arm_summaries,
    best_trial,
    compare,
    metric_of,
    named,
    no_teacher_arm,
    rank_arms,
    scale_of,
    task_metric,
)

__all__ = ["Verdict", "listed", "sure_winners", "verdict"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What can be said about one task.

    Attributes:
        task: Task name.
        headline: The finding in one sentence.
        details: Further sentences: the gap recovered, arms that cannot be told apart.
        leader: The arm that is ahead, empty when nothing was measured.
        decided: Whether the leader is better than every other arm, by intervals that exclude zero.
        leading: The leader and the arms that it cannot be told apart from, best first.
        lead: The least of the leader's differences to the other arms with its interval, in words;
            empty unless it is decided.
        p: The largest p value of the leader's differences to the other arms, over all looks at the
            seeds; 1 unless decided.
        is_small: Whether that lead is less than the margin that matters.
        equal_within: The margin, in words, within which the leading arms are equal; empty where
            that is not shown.
        on: What the claim is about: ``these seeds and rows``.
        seeds: Confirm seeds of the leader, or its searches, where there are several.
        compared: Confirmed arms.
        counted: What arms are compared over: ``seed`` of one configuration each, or ``search``.
    """

    task: str
    headline: str
    details: tuple[str, ...]
    leader: str
    decided: bool
    leading: tuple[str, ...] = ()
    lead: str = ""
    p: float = 1.0
    is_small: bool = False
    equal_within: str = ""
    on: str = ""
    seeds: int = 0
    compared: int = 0
    counted: str = "seed"


def verdict(result: SweepResult, task: str) -> Verdict:
    """The verdict on a task, as sure as its confirm runs allow and no surer.

    An arm is the one to take only if it is better than *every* other one, on at least three
    seeds, and lost no confirm run: the baseline has to show as much as any other arm. Each of these
    differences is tested at the full level: all of them have to be found, so that a wrong claim
    takes at least one that goes wrong. Arms that lost most runs, or break a constraint, are out.
    """
    measure = task_metric(result, task)
    arms = arm_summaries(result, task)
    order = rank_arms(arms, measure.mode)
    if not order:
        return _from_search(result, task)
    out = [a for a in order if a.beyond or len(a.lost) > len(a.runs)]
    leader, *others = [a for a in order if a not in out] or order
    if not others:
        return _of_one(result, task, arms, leader, out)
    together = compare(measure, arms)
    differences = {a.name: together.difference(leader.name, a.name) for a in others}
    close = [a for a in others if not _is_better(differences[a.name])]
    rival = next((a for a in close or others if a.name == result.baseline), (close or others)[0])
    decided = not close and not leader.lost and not leader.beyond
    known = [d for d in differences.values() if d is not None]
    least = _least(differences) if decided else None
    equal = bool(close) and all(_is_equal(measure, differences[a.name]) for a in close)
    more = (1 + len(others)) * (1 if measure.counted == "seed" else _trials_of_search(result))
    details = [
        *_beaten(measure, together, arms, leader, rival, result.baseline),
        *_gap(result, task, leader, arms),
        *sentences.ties(leader, rival, close),
        *sentences.left_out(out),
        *sentences.of_size(
            measure,
            leader,
            rival,
            differences[rival.name],
            decided=decided,
            equal=equal,
            trials=more,
        ),
        *sentences.perplexities(measure, order, best_teacher(result, task)),
        *sentences.reliability(leader, others),
        *sentences.of_plan(result.seed_plans.get(task)),
    ]
    return Verdict(
        task=task,
        headline=sentences.comparison(leader, rival, differences[rival.name], measure),
        details=tuple(details),
        leader=leader.name,
        decided=decided,
        leading=(leader.name, *(a.name for a in close)),
        lead=sentences.least_lead(*least, measure.scale) if least else "",
        p=max((together.overall_p(d) or 0.0 for d in known), default=1.0) if decided else 1.0,
        is_small=least is not None and 0.0 < least[1].mean < measure.margin,
        equal_within=sentences.margin(measure) if equal else "",
        on=sentences.about(measure, next(iter(known), None)),
        seeds=len(leader.seeds),
        compared=1 + len(others),
        counted=measure.counted,
    )


def _of_one(
    result: SweepResult,
    task: str,
    arms: tuple[ArmSummary, ...],
    leader: ArmSummary,
    out: Sequence[ArmSummary],
) -> Verdict:
    """The verdict where only one arm was confirmed, or is left."""
    measure = task_metric(result, task)
    head = f"{leader.name} is the only confirmed arm: {measure.scale.show(leader.score)}"
    return Verdict(
        task=task, headline=f"{head}{sentences.own_interval(leader, measure)}.",
        details=(*_gap(result, task, leader, arms), *sentences.left_out(out)), decided=False,
        leader=leader.name, leading=(leader.name,), seeds=len(leader.seeds),
        counted=measure.counted,
    )  # fmt: skip


def _trials_of_search(result: SweepResult) -> int:
    """Search trials of each search."""
    return int((result.spec.get("search") or {}).get("trials", 1))


def sure_winners(verdicts: Sequence[Verdict], alpha: float = ALPHA) -> tuple[Verdict, ...]:
    """The decided verdicts that stand when those of all tasks are read together.

    One of twenty tasks on which two arms are alike shows a winner by chance, so their p values are
    corrected by Holm's method over the tasks.
    """
    corrected = holm_correction([v.p for v in verdicts])
    pairs = zip(verdicts, corrected, strict=True)
    return tuple(v for v, p in pairs if v.decided and (p or 0.0) < alpha)


def _is_better(d: PairedDifference | None) -> bool:
    return d is not None and d.better


def _is_equal(measure: TaskMetric, d: PairedDifference | None) -> bool:
    return d is not None and measure.margin > 0 and d.within(measure.margin)


def _least(differences: Mapping[str, PairedDifference | None]) -> tuple[str, PairedDifference]:
    """The arm that the leader is ahead of by least, and by how much."""
    known = [(name, d) for name, d in differences.items() if d is not None]
    return min(known, key=lambda pair: pair[1].mean)


def _beaten(
    measure: TaskMetric,
    together: Comparison,
    arms: tuple[ArmSummary, ...],
    leader: ArmSummary,
    rival: ArmSummary,
    baseline: str,
) -> list[str]:
    """The leader against the baseline and no teacher, where that is sure and not in the headline.

    The leader is the best of several arms, so each is corrected over all of them: where nothing is
    decided, the best of ten equal arms would beat one of these two in every sixth sweep.
    """
    if leader.lost:
        return []
    none = no_teacher_arm(arms)
    lines = []
    for name in dict.fromkeys([baseline, *([none.name] if none is not None else [])]):
        difference, _ = all_against(together, name, [a.name for a in arms])[leader.name]
        if name != rival.name and difference is not None and difference.better:
            lines.append(sentences.beaten(measure, leader, name, difference))
    return lines


def _gap(
    result: SweepResult, task: str, leader: ArmSummary, arms: tuple[ArmSummary, ...]
) -> list[str]:
    none = no_teacher_arm(arms)
    is_none = none is not None and leader.name == none.name
    teacher = best_teacher(result, task) if is_none else leader.teacher
    if teacher is None or none is None or none.confirmed is None or leader.lost:
        return []
    return [sentences.gap(leader, none, teacher, task_metric(result, task))]


def _from_search(result: SweepResult, task: str) -> Verdict:
    """The verdict when no arm was confirmed: the best search trials, undecided."""
    _, mode = metric_of(result, task)
    scale = scale_of(result, task)
    best = {
        arm: trial
        for arm in result.arms
        if (trial := best_trial(result.of(task, arm, "search"), mode)) is not None
    }
    if not best:
        count = sum(t.task == task for t in result.trials)
        what = "no trial was started" if not count else f"none of {count} trials was completed"
        return Verdict(task=task, headline=f"Nothing was measured: {what}.", details=(), leader="",
                       decided=False)  # fmt: skip
    winner = best_trial(tuple(best.values()), mode)
    assert winner is not None
    scores = ", ".join(f"{named(n)} {scale.show(t.objective)}" for n, t in best.items())
    who = f"{named(winner.arm, first=True)} had the best search trial."
    return Verdict(
        task=task,
        headline=f"Not decided: nothing was confirmed on fresh seeds. {who}",
        details=(
            f"Best search trial per arm (validation split): {scores}. Each is the best of many "
            "tries on the split that chose it, so it is too high, and it has no interval.",
        ),
        leader=winner.arm,
        decided=False,
    )
