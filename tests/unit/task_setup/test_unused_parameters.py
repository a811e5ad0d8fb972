"""A parameter that changes nothing is reported, and one that is searched in vain is refused."""

from __future__ import annotations

from typing import Any

import pytest

from raykd.errors import SpecError
from raykd.task_setup.set_up import set_up_task
from tests.unit.sweep.specs import ALPHA, SHAPE, TASK, spec

SCORES = {"name": "scores", "texts": ["text"], "kind": "regression", "path": "rows"}
HEAT = {"kind": "choice", "choices": [1.0, 4.0]}


@pytest.fixture(autouse=True)
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    for split in ("train", "validation"):
        lines = [f"{split} row {k},{k / 200}" for k in range(120)]
        (tmp_path / "rows" / f"{split}.csv").write_text("\n".join(["text,label", *lines]))


def setup_of(arms: dict[str, dict[str, Any]], task: str = "scores", **changes: Any):
    methods = {name: {"name": name, **arm} for name, arm in arms.items()}
    tasks = changes.pop("tasks", [task])
    made = spec(tasks=tasks, own_tasks={"scores": SCORES}, methods=methods,
                report__baseline=next(iter(arms)), **changes)  # fmt: skip
    return set_up_task(made, task)


def notes_of(*args: Any, **changes: Any) -> list[str]:
    return [note for note in setup_of(*args, **changes).notes if "no effect" in note]


def test_a_value_that_changes_nothing_is_noted_at_its_place():
    notes = notes_of({"hot": {"method": "kd", "fixed": {"temperature": 8.0, "alpha": 0.3}}})
    assert notes == [
        "methods.hot.temperature: 8 has no effect on scores: regression compares scores as they are"
    ]
    assert notes_of({"kd": {"method": "kd", "fixed": {"temperature": 8.0}}}, TASK) == []
    assert notes_of({"kd": {"method": "kd", "fixed": {"alpha": 0.3}}}) == []


def test_all_that_is_searched_in_vain_is_refused_at_once():
    kd = {"method": "kd", "domains": {"temperature": HEAT, "alpha": ALPHA}}
    tiny = {
        "method": "tinybert",
        "domains": {"temperature": HEAT},
        "fixed": {"attention_maps": 0.0},
    }
    with pytest.raises(SpecError) as caught:
        setup_of({"kd": kd, "tiny": tiny})
    problems = caught.value.problems()
    assert [p.path for p in problems] == ["methods.kd.temperature", "methods.tiny.temperature"]
    assert problems[0].message == (
        "'temperature' is searched, but has no effect on scores: regression compares scores as "
        "they are"
    )
    assert "leave it out" in problems[0].hint


def test_what_is_searched_for_another_task_of_the_file_is_noted():
    kd = {"kd": {"method": "kd", "domains": {"temperature": HEAT}}}
    both = {"tasks": [TASK, "scores"]}
    assert notes_of(kd, TASK, **both) == []
    (note,) = notes_of(kd, **both)
    assert note.startswith("methods.kd.temperature is searched, but has no effect on scores: ")
    arm = {"method": "stark", "fixed": {"sparsity": 0}, "domains": {"lam": ALPHA}}
    with pytest.raises(SpecError, match="no effect on any task of this file: sparsity is 0"):
        setup_of({"stark": arm}, TASK, **both)


def test_what_acts_in_some_trials_is_neither_noted_nor_refused():
    domains = {"alpha": {"kind": "choice", "choices": [0.0, 0.5]}, "temperature": HEAT}
    assert notes_of({"kd": {"method": "kd", "domains": domains}}, TASK) == []
    when = {**HEAT, "when": {"alpha": 0.5}}
    conditional = {**domains, "temperature": when}
    assert notes_of({"kd": {"method": "kd", "domains": conditional}}, TASK) == []
    never = {**domains, "temperature": {**HEAT, "when": {"alpha": 0.0}}}
    with pytest.raises(SpecError, match="no effect on toy/sentiment: alpha is 0"):
        setup_of({"kd": {"method": "kd", "domains": never}}, TASK)


@pytest.mark.parametrize(
    ("arm", "reason"),
    [
        ({"method": "one_to_one", "fixed": {"alpha_ce": 0.5}}, "alpha_ce: 0.5"),
        ({"method": "one_to_one", "fixed": {"temperature": 3.0}}, "temperature: 3"),
        ({"method": "ckd", "fixed": {"tie_ltr_to_wr": True, "ltrdist": 3.0}}, "ltrdist: 3"),
        ({"method": "stark", "fixed": {"score_rows": 7}}, "score_rows: 7"),
    ],
)
def test_methods_say_what_an_option_or_the_kind_of_task_switches_off(arm, reason):
    fits = {**SHAPE, "hidden": 16, "layers": 2}
    (note,) = notes_of({"x": arm}, student__model=fits, teacher__model=fits)
    assert f"methods.x.{reason} has no effect on scores: " in note
