"""What stands in a recorded search space is known to what reads it, or named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raykd.results.recorded_spec import not_understood
from raykd.spec.load import load_spec

FILES = sorted((Path(__file__).parents[3] / "search_spaces").glob("*.yaml"))
LEAST: dict[str, Any] = {
    "methods": {"kd": {}}, "train": {}, "data": {}, "search": {}, "confirm": {}, "report": {},
}  # fmt: skip


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_what_raykd_writes_is_understood(file: Path) -> None:
    plain = json.loads(json.dumps(load_spec(file).as_dict()))
    assert not list(not_understood(plain))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("train", None), ("methods.kd", []), ("methods.kd.domains", {"a": {"kind": "int"}}),
        ("train.fixed", [1]), ("tasks", "rte"), ("tasks", [1]), ("loggers", [{"params": {}}]),
        ("loggers", True), ("data.rationales", "x"), ("search.repeats", "2"),
        ("search.repeats", True), ("search.constraints", True), ("search.constraints", [{}]),
        ("search.constraints", [{"metric": "x", "relation": "<=", "bound": float("inf")}]),
        ("confirm.seeds", 3), ("confirm.seeds", None), ("data.rationales", None),
        ("search.repeats", None), ("confirm.seeds", [1, None]), ("confirm.seeds", {"start": 3}),
        ("report.margin", "1"), ("report.margin", 10**400), ("report.margin", float("nan")),
        ("teachers", [1]), ("teachers", {"one": {"mean": 1}}), ("teachers", {"one": {"mean": [1]}}),
        ("teachers", {"one": {"routes": []}}), ("teachers", {"one": {"routes": {"a": {}}}}),
        ("methods.kd.fixed", {"teacher": {"a": 1}}), ("methods.kd.fixed", {"teacher": ["a"]}),
        ("methods.kd.domains", {"teacher": {"kind": "choice", "choices": ["a", {}]}}),
    ],
)  # fmt: skip
def test_what_is_of_another_form_is_named(place: str, value: object) -> None:
    plain = json.loads(json.dumps(LEAST))
    *owners, last = place.split(".")
    here = plain
    for key in owners:
        here = here[key]
    here[last] = value
    (actual,) = not_understood(plain)
    assert place.startswith(actual[0])
    here.pop(last)
    assert [at for at, _ in not_understood(plain)] == ([place] if place == "train" else [])
