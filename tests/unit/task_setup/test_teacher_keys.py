"""Fine-tuned weights have a key of their own; students, arms and the store are not in it."""

from __future__ import annotations

from functools import cache

import pytest

from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.cache_keys import CacheKeys
from tests.unit.sweep.specs import ALPHA, SHAPE, TASK, spec

LARGE = 1 << 40


def keys(store_bytes: int = LARGE, **changes: object) -> CacheKeys:
    """The keys of the teacher of a sweep with some parts changed."""
    of = spec(**changes)
    return plan_teacher(of, set_up_task(of, TASK), store_bytes).keys


@cache
def plain() -> CacheKeys:
    return keys()


def arms(*names: str) -> dict[str, dict[str, object]]:
    """Arms by name, in this order."""
    known: dict[str, dict[str, object]] = {
        "none": {"name": "none", "method": "none"},
        "kd": {"name": "kd", "method": "kd", "domains": {"alpha": ALPHA}},
        "tinybert": {"name": "tinybert", "method": "tinybert"},
    }
    return {name: known[name] for name in names}


SAME_WEIGHTS: dict[str, dict[str, object]] = {
    "another student": {"student__model": {**SHAPE, "hidden": 32, "layers": 2}},
    "other arms": {"methods": arms("none", "tinybert"), "report__baseline": "none"},
    "the arms in another order": {"methods": arms("kd", "none")},
    "a small store": {"store_bytes": 1},
    "other rows of students": {"data__student_rows": 20},
    "another budget": {"search__trials": 9},
    "another seed of the search": {"search__seed": 6},
    "training of students": {"train__fixed": {"epochs": 7, "batch_size": 4}},
    "weights in place of outputs": {"teacher__serve": "weights"},
    "another format of what is kept": {"teacher__dtype": "fp32"},
}


@pytest.mark.parametrize("change", SAME_WEIGHTS)
def test_it_is_not_fine_tuned_again_for(change: str) -> None:
    assert keys(**SAME_WEIGHTS[change]).teacher == plain().teacher  # type: ignore[arg-type]


def test_the_order_of_arms_is_no_other_recording() -> None:
    one, two = (
        keys(methods=arms(*names)) for names in (("none", "tinybert", "kd"), ("kd", "tinybert"))
    )
    assert dict(one.parts) == dict(two.parts)
    assert one.teacher == two.teacher


@pytest.mark.parametrize(
    "change",
    [
        {"teacher__finetune": {"epochs": 2, "lr": 1e-3, "rows": 80}},
        {"teacher__finetune": {"epochs": 1, "lr": 1e-3, "rows": 81}},
        {"teacher__finetune": {"epochs": 1, "lr": 1e-3, "rows": 80, "seed": 1}},
        {"teacher__finetune": {"epochs": 1, "lr": 1e-3, "rows": 80, "search": 3}},
        {"teacher__model": {**SHAPE, "hidden": 32}},
    ],
)
def test_what_makes_other_weights_is_another_teacher(change: dict[str, object]) -> None:
    assert keys(**change).teacher != plain().teacher  # type: ignore[arg-type]
