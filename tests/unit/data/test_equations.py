from __future__ import annotations

import math
import random

import pytest

from raykd.data.equations import value
from raykd.data.rationale_parsers import PARSERS
from raykd.data.tasks.step_by_step import same_value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("( 8.0 - 6.0 )", 2.0), ("-(2 + 4) * 3", -18.0), ("2 ** 3", 8.0), (" 7 / 2 ", 3.5), ("+1", 1)],
)
def test_arithmetic_has_its_value(text, wanted):
    assert value(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "abc", "1 / 0", "__import__('os')", "2 +", "[1]", "True", "'a' * 3", "9 ** 9 ** 9",
     "(-8) ** 0.5", "1 if 1 else 2", "(" * 150 + "1" + ")" * 150, "1\n2", "x" * 500],
)  # fmt: skip
def test_anything_else_is_no_number_and_is_not_run(text):
    assert math.isnan(value(text))


def test_equations_are_the_same_by_value_and_no_equation_equals_nothing():
    assert same_value("3 + 4", ("( 7.0 )",))
    assert same_value("0.1 + 0.2", ("0.3",))
    assert not same_value("3 + 5", ("7",))
    assert not same_value("abc", ("abc",))


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    "text", ["", "\n\n", "So the answer is So the answer is", "(a) (b) Answer:"]
)
def test_what_cannot_be_parsed_is_empty_and_no_error(name, text):
    assert PARSERS[name](text).label in ("", "(a) (b) Answer:")


@pytest.mark.parametrize("seed", range(20))
def test_values_are_those_that_python_has(seed):
    rng = random.Random(seed)

    def expression(depth: int) -> str:
        if depth == 0:
            return str(rng.choice([0, 1, 2.5, 7, 30]))
        mark = rng.choice("+-*/")
        return f"{rng.choice(['', '-'])}({expression(depth - 1)} {mark} {expression(depth - 1)})"

    for _ in range(20):
        text = expression(rng.randint(0, 3))
        try:
            wanted = float(eval(text))  # of digits, signs and brackets only
        except ZeroDivisionError:
            wanted = math.nan
        assert value(text) == pytest.approx(wanted, nan_ok=True)
