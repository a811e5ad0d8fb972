"""Of a configuration that a search was given, it is said that the search did not find it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raykd.results.caveat import Caveat
from raykd.results.diagnose import diagnose
from raykd.results.store import load_results
from tests.synthetic_run import Builder, spec

TASK = "glue/rte"
POINT = {"lr": 3e-5, "alpha": 0.5, "temperature": 2}
FOUND = {**POINT, "alpha": 0.25}


def caveat(folder: Path, starts: Any, best: dict[str, Any]) -> Caveat | None:
    """What is said of a search that began with some points and found `best`."""
    plan = spec(trials=2)
    kd = plan.methods["kd"].model_copy(update={"start": starts})
    builder = Builder(folder, plan.model_copy(update={"methods": {**plan.methods, "kd": kd}}))
    builder.start()
    builder.teacher(TASK)
    for number, params in enumerate((POINT, FOUND)):
        builder.trial(TASK, "kd", number, objective=0.7 if params == best else 0.6, params=params)
    for seed in (11, 12, 13):
        builder.trial(TASK, "kd", 0, params=best, confirm_seed=seed, test=0.7 + seed / 1000)
    every = {c.code: c for c in diagnose(load_results(builder.folder))}
    return every.get("given-configuration")


def test_a_start_that_nothing_was_better_than_was_not_found_here(tmp_path: Path):
    actual = caveat(tmp_path / "run", (POINT,), POINT)
    assert actual is not None
    assert actual.message == (
        "The search was given the configuration of kd (start, --start-from) and found none that "
        "was better on the validation split."
    )
    assert "budgets are equal only if" in actual.hint


@pytest.mark.parametrize(
    ("starts", "best"),
    [
        ((POINT,), FOUND),
        ((), POINT),
        (({"lr": 3e-5, "alpha": 0.5},), POINT),  # the rest was drawn
    ],
)
def test_what_the_search_found_is_its_own(tmp_path: Path, starts: Any, best: dict[str, Any]):
    assert caveat(tmp_path / "run", starts, best) is None
