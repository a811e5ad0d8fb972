"""What early stopping did: whether scores at its rungs foretell the end, and what it cost."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy import special

from raykd.results.caveat import Caveat
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.summary import ArmSummary, best_trial, metric_of

MIN_PAIRS = 20
"""Pairs of trials below which a rank correlation says nothing."""
WEAK = 0.3
"""A rank correlation with the end below this is hardly better than stopping at random."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """How scores at an epoch foretell those at the end, among trials that were not stopped.

    Attributes:
        epoch: Where trials were stopped.
        stopped: How many.
        pairs: Pairs of trials of one search that nothing was selected of.
        in_order: Those whose better one at the epoch is the better one at the end.
    """

    epoch: float
    stopped: int
    pairs: int
    in_order: int

    @property
    def tau(self) -> float:
        """Kendall's rank correlation, over the pairs of all arms; NaN without any."""
        return 2 * self.in_order / self.pairs - 1 if self.pairs else math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyStopping:
    """Early stopping on one task.

    Attributes:
        trials: Search trials that ended.
        stopped: Those that were stopped.
        control: Those of the control group.
        spared: Those of it that would have been stopped.
        lost_best: Those of them that became the best of their arm.
        rungs: By epoch.
    """

    trials: int
    stopped: int
    control: int
    spared: int
    lost_best: int
    rungs: tuple[Rung, ...]

    @property
    def most_lost(self) -> float:
        """At most this share of the stopped trials would have been best: the upper 95 % bound.

        Of a binomial share, after Clopper and Pearson (1934).
        """
        if self.spared == self.lost_best:
            return 1.0
        return float(special.betaincinv(self.lost_best + 1, self.spared - self.lost_best, 0.95))


def early_stopping(result: SweepResult, task: str) -> EarlyStopping | None:
    """What it did on a task; None where no trial was stopped or would have been."""
    metric, mode = metric_of(result, task)
    ended = [t for arm in result.arms for t in result.of(task, arm, "search") if _has_ended(t)]
    stopped = [t for t in ended if t.status is Status.PRUNED]
    spared = [t for t in ended if t.spared]
    if not stopped and not spared:
        return None
    best = [
        best_trial(tuple(t for t in ended if (t.arm, t.repeat) == (arm, repeat)), mode)
        for arm in result.arms
        for repeat in range(result.searches)
    ]
    at: dict[float, int] = defaultdict(int)
    for trial in stopped:
        at[_last_epoch(trial)] += 1
    for trial in spared:
        at.setdefault(trial.spared, 0)
    lag = result.lags.get(task)
    whole = [t for t in ended if t.status is Status.COMPLETED and _is_free(t, lag)]
    return EarlyStopping(
        trials=len(ended),
        stopped=len(stopped),
        control=sum(t.control for t in ended),
        spared=len(spared),
        lost_best=sum(t in best for t in spared),
        rungs=tuple(
            _rung(epoch, count, whole, metric, mode) for epoch, count in sorted(at.items())
        ),
    )


def _has_ended(trial: TrialResult) -> bool:
    return trial.status in (Status.COMPLETED, Status.PRUNED)


def _is_free(trial: TrialResult, lag: int | None) -> bool:
    """Whether a trial ran to its end whatever it scored: of the control group, or of the first."""
    return trial.control or (lag is not None and trial.number <= lag)


def _last_epoch(trial: TrialResult) -> float:
    return trial.history[-1].epoch if trial.history else 0.0


def _rung(epoch: float, stopped: int, whole: Sequence[TrialResult], metric: str, mode: str) -> Rung:
    sign = -1.0 if mode == "min" else 1.0
    pairs = in_order = 0
    by_search: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for trial in whole:
        there = [e.metrics.get(metric, math.nan) for e in trial.history if e.epoch >= epoch]
        if there and trial.objective is not None:
            by_search[trial.arm, trial.repeat].append((sign * there[0], sign * trial.objective))
    for points in by_search.values():
        for (early, end), (other_early, other_end) in itertools.combinations(points, 2):
            if early != other_early and end != other_end:
                pairs += 1
                in_order += (early > other_early) == (end > other_end)
    return Rung(epoch=epoch, stopped=stopped, pairs=pairs, in_order=in_order)


def stopped_too_early(
    result: SweepResult, task: str, arms: tuple[ArmSummary, ...]
) -> Iterator[Caveat]:
    """Early stopping that would have cost an arm its best, or that is hardly better than chance."""
    outcome = early_stopping(result, task)
    if outcome is None:
        return
    hint = "raise search.scheduler.grace_period, or use scheduler: none"
    if outcome.lost_best:
        yield Caveat(
            code="stopped-too-early",
            task=task,
            message=(
                f"{outcome.lost_best} of {outcome.spared} trials that early stopping would have "
                "ended, and that ran on as a control group, became the best of their arm; "
                f"{outcome.stopped} others were stopped."
            ),
            hint=hint,
        )
    weak = [r for r in outcome.rungs if r.pairs >= MIN_PAIRS and r.tau < WEAK]
    if weak:
        listed = ", ".join(f"{r.tau:.2f} after epoch {r.epoch:g}" for r in weak)
        yield Caveat(
            code="uninformative-rung",
            task=task,
            message="Scores where trials are stopped hardly foretell those at the end "
            f"(rank correlation {listed}).",
            hint=hint,
        )
