"""Starts a search from what an earlier run found: its best configurations become start points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from raykd.errors import SpecError
from raykd.params import Scalar
from raykd.results.records import SweepResult
from raykd.results.store import load_results
from raykd.results.summary import best_trial, metric_of
from raykd.search.space import domains_of, ordered
from raykd.spec.schema import SweepSpec


def started_from(spec: SweepSpec, run: Path) -> SweepSpec:
    """The sweep with the best configurations of an earlier run as its first trials.

    Of each arm that both have, the best completed search trial of every task that both have gives a
    point. A value that is not searched now, or not in the domain, is left out and drawn, and so is
    one whose condition the point does not meet, e.g. because what it depends on is left out.

    Args:
        spec: The sweep.
        run: The earlier run folder.

    Raises:
        SpecError: It has nothing to start from.
        RaykdError: It cannot be read.
    """
    result = load_results(run)
    points = {name: _points(spec, result, name) for name in spec.methods}
    if not any(points.values()):
        raise SpecError(
            f"{run} has no completed trial that this search could start from",
            hint=f"it has the tasks {', '.join(t.name for t in result.tasks)} and the arms "
            f"{', '.join(result.arms)}; tasks, arms and searched parameters have to be the same",
        )
    methods = {
        name: arm.model_copy(update={"start": (*arm.start, *points[name])})
        for name, arm in spec.methods.items()
    }
    return spec.model_copy(update={"methods": methods})


def _points(spec: SweepSpec, result: SweepResult, arm: str) -> list[Mapping[str, Scalar]]:
    own = spec.methods[arm]
    domains = domains_of(own, spec.train)
    fixed = {**own.fixed, **spec.train.fixed}
    points: list[Mapping[str, Scalar]] = []
    for task in result.tasks:
        mode = metric_of(result, task.name)[1]
        best = best_trial(result.of(task.name, arm, "search"), mode)
        if task.name not in spec.tasks or best is None:
            continue
        point: dict[str, Scalar] = {}
        for name in ordered(domains):
            domain = domains[name]
            if name not in best.params or not domain.active({**fixed, **point}):
                continue
            if domain.contains(best.params[name]):
                point[name] = best.params[name]
        if point and point not in (*points, *own.start):
            points.append(point)
    return points
