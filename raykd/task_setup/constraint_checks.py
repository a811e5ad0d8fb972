"""Constraints that no student of a task can keep to, whatever it learns."""

from __future__ import annotations

from raykd.data.base import Task
from raykd.errors import Problem, SpecError
from raykd.results.scales import KNOWN, scale_named, unit_of
from raykd.spec.schema import SweepSpec


def check_constraints(spec: SweepSpec, task: Task) -> None:
    """Refuse bounds that lie outside what a metric can be.

    Raises:
        SpecError: With the unit that the bound has to have.
    """
    for number, constraint in enumerate(spec.search.constraints):
        metric, bound = constraint.metric, constraint.bound
        scale = scale_named(unit_of(metric, task.units) or unit_of(metric, KNOWN), metric)
        end = scale.high if constraint.relation == ">=" else scale.low
        if (bound > end) if constraint.relation == ">=" else (bound < end):
            hint = f"{scale.unit} are written as {bound / scale.factor:g}"
            problem = Problem(
                path=f"search.constraints[{number}]",
                message=f"no student keeps to {constraint}: {metric} lies in "
                f"[{scale.low:g}, {scale.high:g}]",
                hint=hint if scale.factor != 1.0 else "",
            )
            raise SpecError(problems=[problem])
