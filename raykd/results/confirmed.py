"""The confirm runs that represent an arm: one configuration, and the outcome of each seed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.stats import confidence_interval

BEST = "best"
"""The folder of the student of an arm's first confirm seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed:
    """The confirm runs of the configuration that represents an arm.

    Attributes:
        runs: Its completed runs, one per seed.
        seeds: Confirm seed to value on the test split.
        lost: Confirm seed to the reason why it has no value although it was run.
        missing: Planned seeds that were not run to their end, or not yet.
        others: Completed runs of other configurations under the same number, which are left out.
    """

    runs: tuple[TrialResult, ...] = ()
    seeds: Mapping[int, float] = field(default_factory=dict)
    lost: Mapping[int, str] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
    others: int = 0


def configuration_key(params: Mapping[str, Any]) -> str:
    """Eight digits that tell configurations apart that have the same trial id."""
    plain = json.dumps(dict(params), sort_keys=True, default=str)
    return hashlib.sha256(plain.encode()).hexdigest()[:8]


def confirm_seed(trial: TrialResult) -> int:
    """The seed the user listed, which pairs arms.

    It is the last part of the trial id (``glue-rte.ckd.c0.11``); `TrialResult.seed` may be a hash
    of it with the arm, which would pair nothing.
    """
    tail = trial.trial_id.rpartition(".")[2]
    return int(tail) if tail.lstrip("-").isdigit() else trial.seed


def confirmed(
    result: SweepResult, trials: Sequence[TrialResult], metric: str, mode: str
) -> Confirmed:
    """The confirm runs that represent an arm.

    Runs of different parameters are never put together, even where they have the same number: a
    resumed search may find a better configuration after the first one was confirmed. Of each
    number the newest configuration counts that has all of its runs, or else the one with most.
    Among numbers, the best mean on the *validation* split decides: choosing by the test split would
    make the reported number a maximum, and so too good.

    Args:
        result: The sweep, for the seeds that were planned.
        trials: The arm's trials of the confirm stage.
        metric: The metric that decides.
        mode: ``max`` or ``min``.
    """
    if not trials:
        return Confirmed()
    planned = planned_seeds(result, trials)
    groups: dict[tuple[int, str], dict[int, TrialResult]] = {}
    for trial in sorted(trials, key=lambda t: t.started):
        groups.setdefault((trial.number, configuration_key(trial.params)), {})[
            confirm_seed(trial)
        ] = trial
    runs_of = {place: _of_group(group, metric, planned) for place, group in groups.items()}
    speaking = []
    for number in dict.fromkeys(number for number, _ in groups):
        own = {place: runs_of[place] for place in groups if place[0] == number}
        newest = {p: max(t.started for t in groups[p].values()) for p in own}
        best = max(own, key=lambda p: _standing(own[p], newest[p]))
        speaking.append((best, sum(len(c.runs) for p, c in own.items() if p != best)))
    sign = 1.0 if mode == "min" else -1.0
    place, others = (
        speaking[0]
        if len(speaking) == 1
        else min(speaking, key=lambda s: (*_preference(runs_of[s[0]], sign), s[0][0]))
    )
    chosen = runs_of[place]
    return Confirmed(
        runs=chosen.runs, seeds=chosen.seeds, lost=chosen.lost, missing=chosen.missing,
        others=others,
    )  # fmt: skip


def planned_seeds(result: SweepResult, trials: Sequence[TrialResult]) -> tuple[int, ...]:
    """The seeds of the file, and any other that was run.

    Of seeds that are added by a plan, those up to the look that the runs of the task are at.
    """
    listed = (result.spec.get("confirm") or {}).get("seeds", ())
    if isinstance(listed, Mapping):
        task = trials[0].task
        of_task = (t for t in result.trials if t.task == task and t.stage == "confirm")
        last = max(confirm_seed(t) for t in of_task)
        looks = [listed["start"], *listed["then"]]
        listed = range(1, next((n for n in looks if last <= n), looks[-1]) + 1)
    return tuple(dict.fromkeys([*listed, *sorted({confirm_seed(t) for t in trials})]))


def _of_group(group: Mapping[int, TrialResult], metric: str, planned: Sequence[int]) -> Confirmed:
    runs: list[TrialResult] = []
    seeds: dict[int, float] = {}
    lost: dict[int, str] = {}
    for seed, trial in sorted(group.items()):
        value = trial.metrics.get(f"test/{metric}", math.nan)
        if trial.status is Status.COMPLETED and math.isfinite(value):
            runs.append(trial)
            seeds[seed] = value
        elif trial.status is Status.FAILED:
            lost[seed] = trial.error or "it failed without a message"
        elif trial.status is Status.COMPLETED:
            lost[seed] = f"its {metric} is not finite"
    missing = tuple(s for s in planned if s not in seeds and s not in lost)
    return Confirmed(runs=tuple(runs), seeds=seeds, lost=lost, missing=missing)


def _standing(of: Confirmed, newest: float) -> tuple[bool, float, float]:
    """Sorts configurations of one number, the one that counts last.

    One that has all of its runs, whatever became of them, stands above one that was cut short.
    """
    whole = not of.missing
    return whole, newest if whole else float(len(of.seeds)), newest


def _preference(of: Confirmed, sign: float) -> tuple[bool, bool, float]:
    """Sorts the configuration that speaks first: with a value, none lost, best when selecting."""
    values = confidence_interval([t.objective for t in of.runs if t.objective is not None])
    return not of.seeds, bool(of.lost), sign * values.mean if values else math.inf
