"""Models by sizes: a size that does not change the model is reported before anything runs."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from raykd import registry
from raykd.errors import SpecError
from raykd.models.base import RandomInitConfig
from raykd.models.model_factory import factory_from_random_init
from raykd.task_setup.set_up import TaskSetup, set_up_task
from tests.unit.sweep.specs import SHAPE, TASK, spec

TEXT = "toy_text/replies"
FAMILIES = registry.variants("families")
SIZES = {"layers": 3, "hidden": 32, "heads": 4, "intermediate": 40, "max_positions": 48,
         "dropout": 0.3}  # fmt: skip


def kind_of(family: str) -> str:
    return next(iter(registry.load("families", family).kinds))


@functools.cache
def made(family: str, **changes: Any) -> tuple[Any, ...]:
    """Everything that the sizes of a model decide."""
    plain = {"layers": 2, "hidden": 16, "heads": 2, "intermediate": 24, "max_positions": 32}
    random_init = RandomInitConfig(family=family, **{**plain, "dropout": 0.1, **changes})
    kind = kind_of(family)
    source = factory_from_random_init(random_init, vocabulary=300, kind=kind, num_labels=1, pad=0)
    config = registry.load("families", family).config(random_init, 300, kind, 1)
    return config.to_dict(), source.positions(), source.dims


def setup_of(task: str, teacher: dict[str, Any], student: dict[str, Any]) -> TaskSetup:
    models = {"teacher__model": {**SHAPE, "hidden": 16, **teacher},
              "student__model": {**SHAPE, "hidden": 8, "layers": 1, **student}}  # fmt: skip
    arms = {"kd": {"name": "kd", "method": "kd"}}
    return set_up_task(spec(tasks=[task], **models, methods=arms, report__baseline="kd"), task)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_size_changes_the_model_of_every_family_or_is_said_to_have_no_effect(family, size):
    if made(family) != made(family, **{size: SIZES[size]}):
        return
    task = TEXT if kind_of(family) in ("causal_lm", "seq2seq") else TASK
    sizes = {"family": family, "vocabulary": 400, size: SIZES[size]}
    note = f"{size}: {SIZES[size]} has no effect"
    notes = setup_of(task, sizes, sizes).notes
    assert [key for key in ("teacher", "student") if f"{key}.model.{note}" in "".join(notes)] == [
        "teacher", "student",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("teacher", "student", "reported"),
    [(300, 300, False), (300, 200, True), (300, 8192, False), (8192, 8192, False)],
)
def test_a_student_by_sizes_reads_the_teachers_tokens_and_says_so(teacher, student, reported):
    notes = setup_of(TASK, {"vocabulary": teacher}, {"vocabulary": student}).notes
    assert any("student.model.vocabulary" in note for note in notes) == reported


@pytest.mark.parametrize(
    ("task", "teacher", "student", "where"),
    [
        (TEXT, "roberta", "roberta", "teacher.model"),
        (TEXT, "bert", "bert", "teacher.model"),
        (TASK, "t5", "t5", "teacher.model"),
        (TASK, "bert", "t5", "student.model"),
        (TEXT, "gpt2", "t5", "student.model"),
    ],
)
def test_a_family_that_does_not_serve_the_task_is_refused_at_its_place(
    task, teacher, student, where
):
    sizes = [{"family": family, "vocabulary": 400} for family in (teacher, student)]
    with pytest.raises(SpecError, match="serves") as caught:
        setup_of(task, *sizes)
    assert [problem.path for problem in caught.value.problems()] == [where]
