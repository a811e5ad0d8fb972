from __future__ import annotations

import pytest


def test_numbers_for_node_types_are_fine(broken):
    assert broken("prices") == []
    assert broken("prices", {"metadata": None}) == []


def test_a_price_for_nothing(broken):
    (problem,) = broken("prices", {"metadata/price_per_hour/gpus": 1})
    assert problem.level == "error"
    assert problem.message == "there is no node type 'gpus'"
    assert problem.hint == "did you mean 'gpu'?"


@pytest.mark.parametrize("value", ["cheap", -1, True, [1]])
def test_a_price_that_is_no_number(broken, value):
    (problem,) = broken("prices", {"metadata/price_per_hour/gpu": value})
    assert problem.path == "metadata.price_per_hour.gpu"
    assert f"got {value!r}" in problem.message


def test_one_price_for_all(broken):
    (problem,) = broken("prices", {"metadata/price_per_hour": 3})
    assert "prices are given by node type" in problem.message
