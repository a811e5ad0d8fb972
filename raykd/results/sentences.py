"""The sentences of the verdict: differences, gaps, ties and sizes in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raykd.results.arm_teachers import TeacherScore
from raykd.results.collapse import more_reliable
from raykd.results.differences import MIN_SEEDS, PairedDifference
from raykd.results.power import POWER, rows_needed, seeds_needed, smallest_difference
from raykd.results.scales import Scale
from raykd.results.seed_plan_record import SeedPlanRecord
from raykd.results.stats import ALPHA, ConfidenceInterval, holm_correction
from raykd.results.summary import ArmSummary, TaskMetric, named

_ROUNDING = 1e-12  # differences below are those of equal values
LOG_LIKELIHOODS = ("log_likelihood", "masked_log_likelihood")
"""Metrics that are means over tokens, whose perplexity everybody reads."""
_MOST_NATS = 700.0  # more have no exponential
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def plural(one: str) -> str:
    """``seeds``, ``searches``."""
    return f"{one}es" if one.endswith("ch") else f"{one}s"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def comparison(
    leader: ArmSummary, rival: ArmSummary, d: PairedDifference | None, measure: TaskMetric
) -> str:
    """Two arms in one sentence, which says "beats" only where that is sure."""
    scale = measure.scale
    means = f"{scale.show(leader.score)} against {scale.show(rival.score)}"
    both = f"{leader.name} and {rival.name}"
    clause = _which_is_none(leader, rival)
    one = measure.counted
    if d is None:
        what = "confirm seed" if one == "seed" else "search"
        return f"{both} share no {what}, so they cannot be compared ({means}){clause}."
    if d.n < 2:
        return (
            f"{both} cannot be told apart on one {one} ({means}): one {one} gives no "
            f"interval{clause}."
        )
    by, ci = f"{_size(scale, abs(d.mean))} {scale.unit}", _printed(measure, d)
    if d.better and not leader.lost:
        of_one = (
            "" if one == "search" else f": {leader.name}'s configuration against {rival.name}'s"
        )
        return f"{leader.name} beats {rival.name} by {by} ({ci}){of_one}{clause}."
    if abs(d.mean) < _ROUNDING:
        return f"{both} cannot be told apart: their means are equal ({ci}){clause}."
    ahead = f"{leader.name if d.mean > 0 else rival.name} is ahead by {by}"
    return f"{both} cannot be told apart: {ahead}, but {_why_not(leader, d, one)} ({ci}){clause}."


def _why_not(leader: ArmSummary, d: PairedDifference, one: str) -> str:
    """Why a difference is not taken for one."""
    e = d.interval
    if d.better:
        runs = len(leader.lost) + len(leader.runs)
        return f"{leader.name} lost {len(leader.lost)} of its {runs} confirm runs"
    if d.n < MIN_SEEDS:
        return f"fewer than {MIN_SEEDS} {plural(one)} decide nothing"
    if e.low <= 0.0 <= e.high:
        return "the interval contains zero"
    return (
        f"only on the {plural(one)} that both have"
        if e.high < 0.0
        else (f"{d.n} equal differences are no certainty")
    )


def _printed(measure: TaskMetric, d: PairedDifference, alpha: float | None = None) -> str:
    """``95 % CI 0.3 to 2.1, 5 seeds and 277 rows``; at another level than its own on request."""
    alpha = d.alpha if alpha is None else alpha
    rows = f" and {d.error.rows:,} rows" if d.error.rows else ", on these rows"
    counted = f"{d.n} {plural(measure.counted)}"
    ends = _ends(measure.scale, d.interval_at(alpha))
    return f"{confidence(alpha)} CI {ends}, {counted}{rows}"


def confidence(alpha: float) -> str:
    """How sure an interval is that misses in a share `alpha` of cases: ``95 %``."""
    return f"{100 * (1 - alpha):.3g} %"


def about(measure: TaskMetric, d: PairedDifference | None) -> str:
    """What a claim is about, as far as it was measured."""
    counted = plural(measure.counted)
    if d is not None and d.error.rows:
        return f"over {counted} and rows"
    return "on these rows" if measure.counted == "seed" else f"over {counted}, on these rows"


def beaten(measure: TaskMetric, leader: ArmSummary, other: str, d: PairedDifference) -> str:
    """The leader is better than another arm, corrected for all comparisons."""
    by = f"{_size(measure.scale, d.mean)} {measure.scale.unit}"
    first = named(leader.name, first=True)
    return f"{first} beats {named(other)} by {by} ({_printed(measure, d, d.corrected_alpha)})."


def perplexities(
    measure: TaskMetric, order: Sequence[ArmSummary], teacher: TeacherScore | None
) -> list[str]:
    """What means of log-likelihoods per token are as perplexities; nothing for other metrics."""
    if measure.metric not in LOG_LIKELIHOODS or measure.scale.unit != "nats":
        return []
    scores = [(named(a.name), a.score) for a in order if a.score is not None]
    scores += [(teacher.label, teacher.score)] if teacher is not None else []
    shown = [f"{name} {math.exp(min(-score, _MOST_NATS)):.3g}" for name, score in scores]
    return [f"As perplexities per token, of which less is better: {listed(shown)}."]


def least_lead(name: str, d: PairedDifference, scale: Scale) -> str:
    """``1.2 points over kd, 0.3 to 2.1``."""
    size = f"{_size(scale, d.mean)} {scale.unit}"
    return f"{size} over {named(name)}, {_ends(scale, d.interval)}"


def gap(leader: ArmSummary, none: ArmSummary, teacher: TeacherScore, measure: TaskMetric) -> str:
    """How much of the gap between no teacher and its teacher the leader recovers."""
    scale, one = measure.scale, measure.counted
    end = f"{teacher.label} ({scale.show(teacher.score)})"
    span = f"no teacher ({scale.show(none.score)}) and {end}"
    if leader.name == none.name:
        return f"No arm with a teacher is ahead of the one without; the gap is between {span}."
    if leader.gap is None:
        return f"The gap between {span} {_why_no_share(leader, none, teacher, measure)}."
    once = "this one was" if len(teacher.names) == 1 else "each of these was"
    ends = f"95 % CI {100 * leader.gap.low:.0f} to {100 * leader.gap.high:.0f} %"
    how = f"if teachers vary from {one} to {one} as these students do; {once} trained once"
    if leader.gap.teachers > 1:
        sd = f"{_size(scale, leader.gap.sd)} {scale.unit}"
        how = f"with the spread of {leader.gap.teachers} teachers, an sd of {sd}"
    return (
        f"{leader.name} recovers {100 * leader.gap.share:.0f} % of the gap between {span} ({ends}, "
        f"{how})."
    )


def _why_no_share(
    leader: ArmSummary, none: ArmSummary, teacher: TeacherScore, measure: TaskMetric
) -> str:
    """Why no share of a gap is given, as a predicate of the gap."""
    shared, one = len(leader.seeds.keys() & none.seeds.keys()), measure.counted
    if shared < MIN_SEEDS:
        both = f"{shared or 'no'} {one if shared == 1 else plural(one)}"
        return (
            f"was measured on {both}: a share of it takes {MIN_SEEDS} that both arms have, to have "
            "an interval"
        )
    gap = teacher.score - (none.score or 0.0)
    if not (gap < 0.0 if measure.mode == "min" else gap > 0.0):
        return "has no share to recover: that teacher is not better"
    return f"is too small against the spread over {plural(one)}, so no share of it is given"


def ties(leader: ArmSummary, rival: ArmSummary, close: Sequence[ArmSummary]) -> list[str]:
    """Arms that the leader cannot be told apart from, besides the one in the headline."""
    others = [named(a.name) for a in close if a.name != rival.name]
    if not others:
        return []
    first = named(leader.name, first=True)
    return [f"{first} cannot be told apart from {listed(others)} either."]


def left_out(out: Sequence[ArmSummary]) -> list[str]:
    """Arms that are not part of the comparison, each with the reason."""
    return [
        f"{named(a.name, first=True)} {_why_out(a)} and is left out of the comparison." for a in out
    ]


def _why_out(arm: ArmSummary) -> str:
    if arm.beyond:
        return f"does not keep to {', '.join(arm.beyond)}"
    return f"lost {len(arm.lost)} of {len(arm.lost) + len(arm.runs)} confirm runs"


def margin(measure: TaskMetric) -> str:
    """``1 point``, ``0.05 nats``: the margin that matters, in the unit of the report."""
    value = measure.margin * measure.scale.factor
    unit = measure.scale.unit
    return f"{value:g} {'point' if unit == 'points' and value == 1 else unit}"


def of_size(
    measure: TaskMetric,
    leader: ArmSummary,
    rival: ArmSummary,
    d: PairedDifference | None,
    *,
    decided: bool,
    equal: bool,
    trials: int,
) -> list[str]:
    """What the size of a difference means: too small to matter, equal, or not to be found here.

    Args:
        measure: The deciding metric.
        leader: The arm that is ahead.
        rival: The arm that it is compared with in the headline.
        d: The leader minus the rival.
        decided: Whether the leader is the one to take.
        equal: Whether all arms that lead are equal within the margin.
        trials: What one more seed, or search, of all arms takes: confirm runs, or search trials.
    """
    if d is None or d.n < 2:
        return []
    scale = measure.scale
    if decided:
        if not 0.0 < d.mean < measure.margin:
            return []
        return [f"The lead is sure, but smaller than your margin of {margin(measure)}."]
    both = f"{named(leader.name, first=True)} and {named(rival.name)}"
    if equal or (measure.margin > 0 and d.within(measure.margin)):
        ends = f"{confidence(2 * d.alpha)} CI {_ends(scale, d.interval_at(2 * d.alpha))}"
        return [f"{both} are equal within {margin(measure)} ({ends})."]
    return [_detectable(measure, d, trials)]


def _detectable(measure: TaskMetric, d: PairedDifference, trials: int) -> str:
    """The least difference that a sweep of this size finds, and what a smaller one would take."""
    scale, least, counted = measure.scale, smallest_difference(d), plural(measure.counted)
    rows = f" and {d.error.rows:,} rows" if d.error.rows else ""
    text = (
        f"With {d.n} {counted}{rows}, differences from about {_size(scale, least)} {scale.unit} on "
        f"are found ({100 * POWER:.0f} % power)"
    )
    size = measure.margin or abs(d.mean)
    if size < _ROUNDING or size >= least:
        return f"{text}."
    what = f"{_size(scale, size)} {scale.unit}"
    seeds, more = seeds_needed(d, size), rows_needed(d, size)
    ways = []
    if seeds is not None:
        runs = "confirm runs" if measure.counted == "seed" else "search trials"
        ways.append(f"about {seeds:,} {counted} an arm ({seeds * trials:,} {runs} in all)")
    if more is not None:
        ways.append(f"about {more:,} test rows with as many {counted}")
    more_of = f"{counted} and rows" if d.error.rows else counted
    needed = ", or ".join(ways) or f"more {more_of} than any sweep has"
    return f"{text}; {what} would take {needed}."


def reliability(leader: ArmSummary, others: Sequence[ArmSummary]) -> list[str]:
    """Arms whose runs collapse or are lost more often than the leader's, or less often."""
    own, runs = _bad(leader)
    if not own and not any(_bad(a)[0] for a in others):
        return []
    p_values = [more_reliable(own, runs, *_bad(a)) for a in others]
    sentences = []
    for arm, p in zip(others, holm_correction(p_values), strict=True):
        bad, count = _bad(arm)
        if p is None or p >= ALPHA:
            continue
        good, worse = (leader, arm) if own / runs < bad / count else (arm, leader)
        of_good, of_worse = _bad(good), _bad(worse)
        sentences.append(
            f"{named(good.name, first=True)} is more reliable than {named(worse.name)}: "
            f"{of_good[0]} of {of_good[1]} confirm runs collapsed or were lost against "
            f"{of_worse[0]} of {of_worse[1]} (Fisher's exact test, p = {p:.2g})."
        )
    return sentences


def _bad(arm: ArmSummary) -> tuple[int, int]:
    """Runs that collapsed or were lost, and all runs that were begun."""
    return len(arm.collapsed) + len(arm.lost), len(arm.runs) + len(arm.lost)


def of_plan(plan: SeedPlanRecord | None) -> list[str]:
    """Which look of a plan of seeds ended the confirm stage, and why."""
    if plan is None or not plan.ended:
        return []
    number = next(i for i, look in enumerate(plan.looks) if plan.seeds <= look)
    which = _ORDINALS[number] if number < len(_ORDINALS) else f"{number + 1}th"
    why = {
        "decided": "it was decided",
        "futile": "more seeds were unlikely to decide it",
        "last": "that was the last one",
    }[plan.ended]
    return [
        f"The plan had looks at {listed([str(n) for n in plan.looks])} seeds; it ended at the "
        f"{which} one ({plan.looks[number]} seeds, level {100 * plan.levels[number]:.2g} %): {why}."
    ]


def own_interval(arm: ArmSummary, measure: TaskMetric) -> str:
    """The interval of one arm by itself."""
    e, scale = arm.confirmed, measure.scale
    if e is None or not e.has_interval:
        return f" (1 {measure.counted}, no interval)"
    ends = f"{scale.show(e.low)} to {scale.show(e.high)}"
    return f" (95 % CI {ends}, {e.n} {plural(measure.counted)})"


def _which_is_none(*arms: ArmSummary) -> str:
    """What ``none`` is, for a sentence that gives it by name."""
    without_teacher = next((a.name for a in arms if named(a.name) != a.name), "")
    return f"; {without_teacher} is the student without a teacher" if without_teacher else ""


def _size(scale: Scale, value: float) -> str:
    return _end(scale, value).lstrip("+-")


def _end(scale: Scale, value: float) -> str:
    """A difference, with a digit more where it would be written as zero and is not."""
    shown = scale.show(value)
    if scale.factor == 100 and abs(value) > _ROUNDING and float(shown) == 0.0:
        return f"{value * 100:.2g}"
    return shown


def _ends(scale: Scale, e: ConfidenceInterval) -> str:
    """Both ends of an interval, with digits enough to see that it has a width."""
    low, high = _end(scale, e.low), _end(scale, e.high)
    if low == high and e.low < e.high:
        low, high = (f"{v * scale.factor:.6g}" for v in (e.low, e.high))
    return f"{low} to {high}"
