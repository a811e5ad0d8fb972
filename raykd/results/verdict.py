"""The sentence a reader decides with: which arm leads on a task, by how much, and how sure."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.results.records import SweepResult
from raykd.results.stats import Difference, paired
from raykd.results.summary import (
    ArmSummary,
    Scale,
    arm_summaries,
    best_trial,
    metric_of,
    ranked,
    scale_of,
    teacher_score,
    without_teacher,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What can be said about one task.

    Attributes:
        task: Task name.
        headline: The finding in one sentence.
        details: Further sentences: the gap recovered, arms that cannot be told apart.
        leader: The arm to take, empty when nothing was measured.
        decided: Whether the leader's difference to its rival excludes zero.
    """

    task: str
    headline: str
    details: tuple[str, ...]
    leader: str
    decided: bool


def verdict(result: SweepResult, task: str) -> Verdict:
    """The verdict on a task, as sure as its confirm seeds allow and no surer."""
    _, mode = metric_of(result, task)
    arms = arm_summaries(result, task)
    order = ranked(arms, mode)
    if not order:
        return _from_search(result, task)
    scale = scale_of(result, task)
    leader = order[0]
    rivals = [a for a in order[1:] if a.label == result.baseline] or list(order[1:])
    details = [
        *_without_teacher(leader, rivals[:1], order, mode, scale),
        *_gap(result, task, leader, scale),
        *_ties(order, rivals[:1], mode),
    ]
    if not rivals:
        spread = _interval(leader, scale)
        head = f"{leader.label} is the only confirmed arm: {scale.show(leader.score)}{spread}."
        return Verdict(task=task, headline=head, details=tuple(details), leader=leader.label,
                       decided=False)  # fmt: skip
    against = paired(leader.seeds, rivals[0].seeds, mode)
    head = _compare(leader, rivals[0], against, scale)
    decided = against is not None and not against.undecided
    return Verdict(task=task, headline=head, details=tuple(details), leader=leader.label,
                   decided=decided)  # fmt: skip


def _compare(leader: ArmSummary, rival: ArmSummary, d: Difference | None, scale: Scale) -> str:
    means = f"{scale.show(leader.score)} against {scale.show(rival.score)}"
    if d is None:
        return (
            f"{leader.label} and {rival.label} share no confirm seed, so they cannot be compared "
            f"({means})."
        )
    e = d.estimate
    if not e.has_interval:
        return (
            f"{leader.label} and {rival.label} cannot be told apart on one seed "
            f"({means}): one seed gives no interval."
        )
    by = f"{scale.signed(e.mean).lstrip('+')} {scale.unit}"
    ci = f"95 % CI {scale.show(e.low)} to {scale.show(e.high)}, {e.n} seeds"
    if d.undecided:
        return (
            f"{leader.label} and {rival.label} cannot be told apart: {leader.label} is ahead by "
            f"{by}, but the interval contains zero ({ci})."
        )
    return f"{leader.label} beats {rival.label} by {by} ({ci})."


def _without_teacher(
    leader: ArmSummary,
    named: list[ArmSummary],
    order: tuple[ArmSummary, ...],
    mode: str,
    scale: Scale,
) -> list[str]:
    """The leader against no teacher, where the headline does not say it and it is decided."""
    taken = {leader.label, *(a.label for a in named)}
    none = without_teacher(order)
    if none is None or none.label in taken:
        return []
    d = paired(leader.seeds, none.seeds, mode)
    return [] if d is None or d.undecided else [_compare(leader, none, d, scale)]


def _gap(result: SweepResult, task: str, leader: ArmSummary, scale: Scale) -> list[str]:
    teacher = teacher_score(result, task)
    none = without_teacher(arm_summaries(result, task))
    if teacher is None or none is None or none.confirmed is None:
        return []
    span = f"no teacher ({scale.show(none.score)}) and teacher ({scale.show(teacher)})"
    if leader.gap is None:
        return [f"The gap between {span} is too small or negative, so no share of it is given."]
    if leader.label == none.label:
        return [f"No arm with a teacher is ahead of the one without; the gap is between {span}."]
    return [f"It recovers {leader.gap:.0%} of the gap between {span}.".replace("%", " %")]


def _ties(order: tuple[ArmSummary, ...], named: list[ArmSummary], mode: str) -> list[str]:
    """Arms that the leader cannot be told apart from, beside the one in the headline."""
    leader, taken = order[0], {a.label for a in named}
    close = []
    for arm in order[1:]:
        d = paired(leader.seeds, arm.seeds, mode)
        if arm.label not in taken and (d is None or d.undecided):
            close.append(arm.label)
    if not close:
        return []
    return [f"{leader.label} cannot be told apart from {_listed(close)} either."]


def _from_search(result: SweepResult, task: str) -> Verdict:
    """The most that can be said without a confirmed arm."""
    _, mode = metric_of(result, task)
    scale = scale_of(result, task)
    best = {
        label: found
        for label in result.labels
        if (found := best_trial(result.of(task, label, "search"), mode)) is not None
    }
    if not best:
        count = sum(t.task == task for t in result.trials)
        what = "no trial was started" if not count else f"none of {count} trials was completed"
        return Verdict(task=task, headline=f"Nothing was measured: {what}.", details=(), leader="",
                       decided=False)  # fmt: skip
    winner = best_trial(tuple(best.values()), mode)
    assert winner is not None
    scores = ", ".join(f"{label} {scale.show(t.objective)}" for label, t in best.items())
    return Verdict(
        task=task,
        headline=(
            f"Not decided: nothing was confirmed on fresh seeds. {winner.label} had the best "
            f"search trial."
        ),
        details=(
            f"Best search trial per arm, on the select split: {scores}. Each is the best of many "
            "tries on the split that chose it, so it is too high, and it has no interval.",
        ),
        leader=winner.label,
        decided=False,
    )


def _interval(arm: ArmSummary, scale: Scale) -> str:
    e = arm.confirmed
    if e is None or not e.has_interval:
        return " (1 seed, no interval)"
    return f" (95 % CI {scale.show(e.low)} to {scale.show(e.high)}, {e.n} seeds)"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
