"""What students cost, and which arms keep to the constraints once they are confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from raykd.params import show
from raykd.results.records import SweepResult, TaskRecord, TrialResult


def weights_of(trial: TrialResult, task: TaskRecord) -> int:
    """Weights of the student of a trial: as they were counted, or as all students have them."""
    return int(trial.metrics.get("parameters", task.student_parameters))


def beyond(result: SweepResult, runs: Sequence[TrialResult]) -> tuple[str, ...]:
    """Constraints that trials do not keep to on average, with that average.

    Args:
        result: The sweep.
        runs: Confirm runs of an arm.
    """
    broken = []
    for given in _bounds(result, runs):
        metric, relation, bound = given["metric"], given["relation"], given["bound"]
        values = [t.metrics[metric] for t in runs if metric in t.metrics]
        if not values:
            continue
        mean = fmean(values)
        if not (mean <= bound if relation == "<=" else mean >= bound):
            broken.append(f"{metric} {relation} {show(bound)} ({mean:.4g})")
    return tuple(broken)


def _bounds(result: SweepResult, runs: Sequence[TrialResult]) -> Sequence[Mapping[str, Any]]:
    """Those of the run that the arm is from, where several are compared; else of the sweep."""
    method = result.spec["methods"].get(runs[0].arm, {}) if runs else {}
    bounds: Sequence[Mapping[str, Any]] = method.get(
        "constraints", (result.spec.get("search") or {}).get("constraints") or ()
    )
    return bounds
