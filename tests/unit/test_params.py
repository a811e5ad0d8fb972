from __future__ import annotations

import math
from dataclasses import dataclass, fields

import pytest

from raykd import params
from raykd.errors import SpecError
from raykd.params import ParamInfo, param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    alpha: float = param(0.5, low=0.0, high=1.0, help="Weight.", symbol="a")
    temperature: float = param(2.0, low=0.0, open=True, help="Softens.")
    share: float = param(0.5, low=0.0, high=1.0, open=True, help="A share.")
    window: int | None = param(None, low=1, help="Tokens.")
    top: int = param(3, high=9, help="At most.")
    kind: str = param("cos", choices=("cos", "l2"), help="Distance.")
    every: int = param(1, choices=(1, 2, 4), help="Steps.")
    centre: bool = param(True, help="Subtract the mean.")
    free: float = param(0.0, help="Anything.")
    rows: int | str = param("auto", low=1, choices=("auto",), help="Rows.")
    fast: bool | str = param("auto", choices=("auto",), help="Faster.")


INFOS = {i.name: i for i in params.describe(Params)}


def test_one_line_holds_everything_about_a_parameter():
    assert list(INFOS) == [f.name for f in fields(Params)]
    assert INFOS["alpha"] == ParamInfo(
        name="alpha", type=float, optional=False, default=0.5, low=0.0, high=1.0, open=False,
        choices=(), help="Weight.", symbol="a",
    )  # fmt: skip
    assert (INFOS["window"].type, INFOS["window"].optional) == (int, True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("alpha", "[0, 1]"), ("temperature", "> 0"), ("share", "(0, 1]"), ("window", ">= 1"),
        ("top", "<= 9"), ("kind", "cos or l2"), ("centre", "true or false"), ("free", "any"),
        ("rows", "auto or >= 1"), ("fast", "auto or true or false"),
    ],
)  # fmt: skip
def test_bounds_in_words(name, words):
    assert INFOS[name].bounds() == words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", 0.0), ("alpha", 1), ("share", 1.0), ("temperature", 1e-9), ("window", None),
        ("window", 1), ("top", -5), ("kind", "l2"), ("every", 4), ("centre", False),
        ("free", -1e30), ("rows", "auto"), ("rows", 3), ("fast", "auto"), ("fast", True),
    ],
)  # fmt: skip
def test_values_within_bounds_are_taken(name, value):
    assert INFOS[name].problem(value) == ""


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("alpha", 1.5, "'alpha' must lie in [0, 1], got 1.5"),
        ("alpha", -0.1, "'alpha' must lie in [0, 1], got -0.1"),
        ("alpha", "high", "'alpha' must be a number, got high"),
        ("alpha", True, "'alpha' must be a number, got true"),
        ("alpha", None, "'alpha' may not be null"),
        ("alpha", math.nan, "'alpha' must be finite, got nan"),
        ("free", math.inf, "'free' must be finite, got inf"),
        ("temperature", 0, "'temperature' must be > 0, got 0"),
        ("share", 0.0, "'share' must lie in (0, 1], got 0"),
        ("window", 0, "'window' must be >= 1, got 0"),
        ("window", 2.5, "'window' must be a whole number, got 2.5"),
        ("window", True, "'window' must be a whole number, got true"),
        ("top", 10, "'top' must be <= 9, got 10"),
        ("kind", "dot", "'kind' must be cos or l2, got dot"),
        ("kind", 3, "'kind' must be text, got 3"),
        ("every", 3, "'every' must be 1 or 2 or 4, got 3"),
        ("centre", "yes", "'centre' must be true or false, got yes"),
        ("centre", 1, "'centre' must be true or false, got 1"),
        ("rows", 0, "'rows' must be >= 1, got 0"),
        ("rows", "many", "'rows' must be auto or a whole number, got many"),
        ("rows", True, "'rows' must be auto or a whole number, got true"),
        ("fast", "yes", "'fast' must be auto or true or false, got yes"),
    ],
)
def test_a_value_that_cannot_be_used_is_reported(name, value, problem):
    assert INFOS[name].problem(value) == problem


def test_building_fills_in_defaults_and_makes_whole_numbers_real():
    built = params.build(Params, {"alpha": 1, "window": 7, "every": 2})
    assert built == Params(alpha=1.0, window=7, every=2)
    assert type(built.alpha) is float
    assert type(built.every) is int


def test_every_problem_is_reported_at_once_with_its_place():
    with pytest.raises(SpecError) as caught:
        params.build(Params, {"alpha": 2, "tempurature": 1.0, "kind": "dot", "centre": True})
    actual = {p.path: p for p in caught.value.problems()}
    assert set(actual) == {"alpha", "tempurature", "kind"}
    assert actual["tempurature"].message == "there is no parameter 'tempurature'"
    assert actual["tempurature"].hint == "did you mean 'temperature'?"


def test_an_unknown_key_says_where_all_are_shown():
    problem = params.unknown_key("alfa", tuple(INFOS.values()), "method 'ckd'", "ckd")
    assert problem.message == "method 'ckd' has no parameter 'alfa'"
    assert problem.hint == "did you mean 'alpha'? (all of them: raykd show ckd)"


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        (None, "null"), (True, "true"), (False, "false"), (5e-05, "5e-05"), (2.0, "2"),
        (0.1, "0.1"), (7, "7"), ("cos", "cos"),
    ],
)  # fmt: skip
def test_values_are_shown_as_typed_in_yaml(value, typed):
    assert params.show(value) == typed


@pytest.mark.parametrize("hint", [list[int], int | str, dict])
def test_only_scalars_can_be_declared(hint):
    made = dataclass(type("Odd", (), {"__annotations__": {"a": hint}, "a": param(1, help="No.")}))
    with pytest.raises(SpecError, match=r"parameter 'a' of .* must be float, int, bool or str"):
        params.describe(made)


def test_a_field_that_was_not_declared_is_reported():
    @dataclass(frozen=True, kw_only=True)
    class Params:
        alpha: float = 0.5

    with pytest.raises(SpecError, match=r"parameter 'alpha' of .* is not declared") as caught:
        params.describe(Params)
    assert caught.value.hint.startswith("for example alpha: float = param(")
