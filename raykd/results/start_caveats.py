"""Caveats about configurations that a search was given to begin with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from raykd.results.caveat import Caveat
from raykd.results.records import SweepResult
from raykd.results.sentences import listed
from raykd.results.summary import ArmSummary, named


def given_configurations(
    result: SweepResult, task: str, arms: tuple[ArmSummary, ...]
) -> Iterator[Caveat]:
    """Arms whose configuration is one that their search was given, by hand or of another run."""
    given = [named(arm.name) for arm in arms if arm.chosen and _is_given(result, arm)]
    if given:
        yield Caveat(
            code="given-configuration",
            task=task,
            message=f"The search was given the configuration of {listed(given)} (start, "
            "--start-from) and found none that was better on the validation split.",
            hint="what it took to find it is not among the trials here: budgets are equal only if "
            "every arm was given a start that took as much to find",
        )


def _is_given(result: SweepResult, arm: ArmSummary) -> bool:
    """Whether the best of the search, and what was confirmed, has the values of a start."""
    starts = result.spec["methods"].get(arm.name, {}).get("start")
    if arm.best is None or not arm.best.searched or not isinstance(starts, list | tuple):
        return False
    both = arm.best.params, arm.chosen
    return any(
        isinstance(start, Mapping)
        and all(
            name in start and all(_same(start[name], own.get(name)) for own in both)
            for name in arm.best.searched
        )
        for start in starts
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)
