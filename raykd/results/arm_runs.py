"""The confirm runs of an arm, and what of them is counted: seeds, or searches where it has several.

With several searches the chosen configuration of each is one draw of what the method and its search
give. Its runs differ by seed besides that, so their mean is one value, and arms are paired by
search: the first ones of all arms selected on the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from raykd.results.confirmed import Confirmed, confirm_seed, confirmed, planned_seeds
from raykd.results.differences import Outcomes
from raykd.results.records import SweepResult, TrialResult

RunKey = int | tuple[int, int]
"""The confirm seed of a run; behind the number of its search, from 1, where there are several."""

RunOutcomes = Mapping[RunKey, NDArray[np.float32]]
"""Run to its outcome on each test row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmRuns:
    """The confirm runs of an arm.

    Attributes:
        trials: The completed ones that count.
        runs: What each of them scores on the test split.
        seeds: What is counted: confirm seed, or number of the search, to value. A search that lacks
            a run has none.
        outcomes: By the same, the outcome on each test row; empty where they were not kept.
        run_outcomes: That of each run; the same as `outcomes` without several searches.
        lost: The reason why a run left no value although it was begun.
        missing: Planned runs that have not ended.
        others: Completed runs of other configurations under the same number, which are left out.
    """

    trials: tuple[TrialResult, ...] = ()
    runs: Mapping[RunKey, float] = field(default_factory=dict)
    seeds: Mapping[int, float] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=dict)
    run_outcomes: RunOutcomes = field(default_factory=dict)
    lost: Mapping[RunKey, str] = field(default_factory=dict)
    missing: tuple[RunKey, ...] = ()
    others: int = 0


def arm_runs(result: SweepResult, trials: Sequence[TrialResult], metric: str, mode: str) -> ArmRuns:
    """The confirm runs that represent an arm, see `confirmed`, in each of its searches.

    Args:
        result: The sweep.
        trials: The arm's trials of the confirm stage.
        metric: The metric that decides.
        mode: ``max`` or ``min``.
    """
    if not trials:
        return ArmRuns()
    if result.searches == 1:
        one = confirmed(result, trials, metric, mode)
        outcomes = _outcomes(result, one)
        return ArmRuns(
            trials=one.runs,
            runs=dict(one.seeds.items()),
            seeds=one.seeds,
            outcomes=outcomes,
            run_outcomes=dict(outcomes.items()),
            lost=dict(one.lost.items()),
            missing=one.missing,
            others=one.others,
        )
    searches: dict[int, Confirmed] = {}
    for repeat in range(result.searches):
        own = [t for t in trials if t.repeat == repeat]
        nothing = Confirmed(missing=planned_seeds(result, trials))
        searches[repeat + 1] = confirmed(result, own, metric, mode) if own else nothing
    kept = {k: _outcomes(result, s) for k, s in searches.items()}
    whole = {k: s for k, s in searches.items() if s.seeds and not s.lost and not s.missing}
    return ArmRuns(
        trials=tuple(t for s in searches.values() for t in s.runs),
        runs={(k, seed): value for k, s in searches.items() for seed, value in s.seeds.items()},
        seeds={k: math.fsum(s.seeds.values()) / len(s.seeds) for k, s in whole.items()},
        outcomes={
            k: np.mean([*kept[k].values()], axis=0, dtype=np.float32)
            for k, s in whole.items()
            if len(kept[k]) == len(s.seeds)
        },
        run_outcomes={(k, seed): of for k, own in kept.items() for seed, of in own.items()},
        lost={(k, seed): why for k, s in searches.items() for seed, why in s.lost.items()},
        missing=tuple((k, seed) for k, s in searches.items() for seed in s.missing),
        others=sum(s.others for s in searches.values()),
    )


def describe_runs(keys: Sequence[RunKey]) -> str:
    """``seeds 1, 4``; ``search 2 seed 1, search 3 seed 1``."""
    if all(isinstance(key, int) for key in keys):
        return ("seed " if len(keys) == 1 else "seeds ") + ", ".join(str(key) for key in keys)
    pairs = [key if isinstance(key, tuple) else (1, key) for key in keys]
    return ", ".join(f"search {search} seed {seed}" for search, seed in pairs)


def _outcomes(result: SweepResult, runs: Confirmed) -> Outcomes:
    """The outcomes of the confirm runs on the test rows, by seed, as far as they were kept."""
    kept = {confirm_seed(t): result.row_outcomes.get(t.row_outcomes) for t in runs.runs}
    return {seed: values for seed, values in kept.items() if values is not None}
