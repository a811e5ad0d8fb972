"""The verdict on a task: which arm leads, by how much, and with what confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raykd.results.records import SweepResult
from raykd.results.scales import Scale
from raykd.results.stats import MIN_SEEDS, ConfidenceInterval, PairedDifference
from raykd.results.summary import (
    ArmSummary,
    TaskMetric,
    arm_summaries,
    best_trial,
    compare_arms,
    metric_of,
    named,
    no_teacher_arm,
    rank_arms,
    scale_of,
    task_metric,
    teacher_score,
)

_ROUNDING = 1e-12  # differences below are those of equal values


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
        seeds: Confirm seeds of the leader.
        compared: Confirmed arms.
    """

    task: str
    headline: str
    details: tuple[str, ...]
    leader: str
    decided: bool
    leading: tuple[str, ...] = ()
    lead: str = ""
    seeds: int = 0
    compared: int = 0


def verdict(result: SweepResult, task: str) -> Verdict:
    """The verdict on a task, as sure as its confirm seeds allow and no surer.

    An arm is the one to take only if it is better than *every* other one, on at least `MIN_SEEDS`
    seeds, and lost no confirm run: the baseline has to show as much as any other arm.
    """
    measure = task_metric(result, task)
    arms = arm_summaries(result, task)
    order = rank_arms(arms, measure.mode)
    if not order:
        return _from_search(result, task)
    scale = measure.scale
    leader, others = order[0], order[1:]
    if not others:
        head = f"{leader.name} is the only confirmed arm: {scale.show(leader.score)}"
        return Verdict(task=task, headline=f"{head}{_interval(leader, scale)}.",
                       details=tuple(_gap(result, task, leader, arms, scale)), leader=leader.name,
                       decided=False, leading=(leader.name,), seeds=len(leader.seeds))  # fmt: skip
    found = {a.name: compare_arms(measure, leader, a) for a in others}
    close = tuple(a for a in others if not _is_better(found[a.name]))
    rival = _rival(result, leader, close or others)
    leading = (leader, *close)
    base = next((a for a in arms if a.name == result.baseline), None)
    details = [
        *_beaten(measure, leader, rival, (base, no_teacher_arm(arms))),
        *_gap(result, task, leader, arms, scale),
        *_ties(leader, rival, close),
    ]
    decided = not close and not leader.lost
    return Verdict(
        task=task,
        headline=_compare(leader, rival, found[rival.name], scale),
        details=tuple(details),
        leader=leader.name,
        decided=decided,
        leading=tuple(a.name for a in leading),
        lead=_least_lead(found, scale) if decided else "",
        seeds=len(leader.seeds),
        compared=len(order),
    )


def _is_better(d: PairedDifference | None) -> bool:
    return d is not None and d.better


def _rival(result: SweepResult, leader: ArmSummary, among: tuple[ArmSummary, ...]) -> ArmSummary:
    """The arm that the headline compares the leader with: the baseline, if it is among them."""
    return next((a for a in among if a.name == result.baseline), among[0])


def _compare(
    leader: ArmSummary, rival: ArmSummary, d: PairedDifference | None, scale: Scale
) -> str:
    """Two arms in one sentence, which says "beats" only where that is sure."""
    means = f"{scale.show(leader.score)} against {scale.show(rival.score)}"
    both = f"{leader.name} and {rival.name}"
    clause = _which_is_none(leader, rival)
    if d is None:
        return f"{both} share no confirm seed, so they cannot be compared ({means}){clause}."
    e = d.interval
    if not e.has_interval:
        return (
            f"{both} cannot be told apart on one seed ({means}): one seed gives no "
            f"interval{clause}."
        )
    by = f"{_size(scale, abs(e.mean))} {scale.unit}"
    ci = f"95 % CI {_ends(scale, e)}, {e.n} seeds"
    if d.better and not leader.lost:
        return f"{leader.name} beats {rival.name} by {by} ({ci}){clause}."
    ahead = f"{leader.name if e.mean > 0 else rival.name} is ahead by {by}"
    if abs(e.mean) < _ROUNDING:
        return f"{both} cannot be told apart: their means are equal ({ci}){clause}."
    if d.better:
        runs = len(leader.lost) + len(leader.seeds)
        why = f"{leader.name} lost {len(leader.lost)} of its {runs} confirm runs ({ci})"
    elif e.n < MIN_SEEDS:
        why = f"fewer than {MIN_SEEDS} seeds decide nothing ({ci})"
    elif e.low <= 0.0 <= e.high:
        why = f"the interval contains zero ({ci})"
    elif e.high < 0.0:
        why = f"only on the seeds that both have ({ci})"
    else:
        why = f"{e.n} equal differences are no certainty ({ci})"
    return f"{both} cannot be told apart: {ahead}, but {why}{clause}."


def _which_is_none(*arms: ArmSummary) -> str:
    """What ``none`` is, for a sentence that gives it by name."""
    found = next((a.name for a in arms if named(a.name) != a.name), "")
    return f"; {found} is the student without a teacher" if found else ""


def _size(scale: Scale, value: float) -> str:
    return _end(scale, value).lstrip("+-")


def _end(scale: Scale, value: float) -> str:
    """A difference, with a digit more where it would be written as zero and is not."""
    shown = scale.show(value)
    if scale.factor == 100 and abs(value) > _ROUNDING and float(shown) == 0.0:
        return f"{value * 100:.2g}"
    return shown


def _beaten(
    measure: TaskMetric, leader: ArmSummary, rival: ArmSummary, others: Sequence[ArmSummary | None]
) -> list[str]:
    """The leader against the baseline and no teacher, where that is sure and not said yet."""
    scale, sentences = measure.scale, []
    for arm in dict.fromkeys(a.name for a in others if a is not None):
        other = next(a for a in others if a is not None and a.name == arm)
        if arm in (leader.name, rival.name) or other.confirmed is None or leader.lost:
            continue
        d = compare_arms(measure, leader, other)
        if d is not None and d.better:
            by = f"{_size(scale, d.interval.mean)} {scale.unit}"
            sentences.append(
                f"{named(leader.name, first=True)} beats {named(arm)} by {by} "
                f"(95 % CI {_ends(scale, d.interval)}, {d.interval.n} seeds)."
            )
    return sentences


def _ends(scale: Scale, e: ConfidenceInterval) -> str:
    """Both ends of an interval, with digits enough to see that it has a width."""
    low, high = _end(scale, e.low), _end(scale, e.high)
    if low == high and e.low < e.high:
        low, high = (f"{v * scale.factor:.6g}" for v in (e.low, e.high))
    return f"{low} to {high}"


def _least_lead(differences: Mapping[str, PairedDifference | None], scale: Scale) -> str:
    """``1.2 points over kd, 0.3 to 2.1``."""
    name, d = min(
        ((name, d) for name, d in differences.items() if d is not None),
        key=lambda pair: pair[1].interval.mean,
    )
    e = d.interval
    return f"{_size(scale, e.mean)} {scale.unit} over {named(name)}, {_ends(scale, e)}"


def _gap(
    result: SweepResult,
    task: str,
    leader: ArmSummary,
    arms: tuple[ArmSummary, ...],
    scale: Scale,
) -> list[str]:
    teacher = teacher_score(result, task)
    none = no_teacher_arm(arms)
    if teacher is None or none is None or none.confirmed is None or leader.lost:
        return []
    span = f"no teacher ({scale.show(none.score)}) and teacher ({scale.show(teacher)})"
    if leader.gap is None:
        return [f"The gap between {span} is too small or negative, so no share of it is given."]
    if leader.name == none.name:
        return [f"No arm with a teacher is ahead of the one without; the gap is between {span}."]
    share = f"{leader.gap:.0%}".replace("%", " %")
    return [
        f"{leader.name} recovers {share} of the gap between {span}, as far as one run of the "
        "teacher can say."
    ]


def _ties(leader: ArmSummary, rival: ArmSummary, close: tuple[ArmSummary, ...]) -> list[str]:
    """Arms that the leader cannot be told apart from, beside the one in the headline."""
    others = [named(a.name) for a in close if a.name != rival.name]
    if not others:
        return []
    first = named(leader.name, first=True)
    return [f"{first} cannot be told apart from {listed(others)} either."]


def _from_search(result: SweepResult, task: str) -> Verdict:
    """The verdict when no arm was confirmed: the best search trials, undecided."""
    _, mode = metric_of(result, task)
    scale = scale_of(result, task)
    best = {
        arm: found
        for arm in result.arms
        if (found := best_trial(result.of(task, arm, "search"), mode)) is not None
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


def _interval(arm: ArmSummary, scale: Scale) -> str:
    e = arm.confirmed
    if e is None or not e.has_interval:
        return " (1 seed, no interval)"
    return f" (95 % CI {scale.show(e.low)} to {scale.show(e.high)}, {e.n} seeds)"


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
