from __future__ import annotations

import optuna
import pytest

from raykd.search.space import domains_of, ordered, suggest
from raykd.spec.domains import Domain
from raykd.spec.schema import ArmSpec, ParameterSpec

optuna.logging.set_verbosity(optuna.logging.WARNING)

EVERY_KIND = {
    "uniform": Domain(kind="uniform", low=-1.0, high=1.0),
    "loguniform": Domain(kind="loguniform", low=1e-5, high=1e-1),
    "quniform": Domain(kind="quniform", low=0.1, high=0.9, step=0.2),
    "int": Domain(kind="int", low=2, high=4),
    "logint": Domain(kind="logint", low=1, high=64),
    "choice": Domain(kind="choice", choices=(True, None, "cos", 3, 0.5)),
}
BOTH = Domain(kind="choice", choices=(True, False))
UNIT = {"kind": "uniform", "low": 0.0, "high": 1.0}


def drawn(domains, fixed=None, count=200):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [suggest(study.ask(), domains, fixed or {}) for _ in range(count)]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_values_lie_in_their_domain(kind):
    domain = EVERY_KIND[kind]
    assert all(domain.contains(d[kind]) for d in drawn({kind: domain}))


@pytest.mark.parametrize(("kind", "ends"), [("int", {2, 3, 4}), ("quniform", None)])
def test_both_ends_are_drawn(kind, ends):
    values = {round(d[kind], 9) for d in drawn({kind: EVERY_KIND[kind]})}
    assert values == (ends or {0.1, 0.3, 0.5, 0.7, 0.9})


def test_every_choice_is_drawn():
    values = [d["choice"] for d in drawn({"choice": EVERY_KIND["choice"]})]
    assert set(values) == {True, None, "cos", 3, 0.5}
    assert True in [v for v in values if isinstance(v, bool)]


@pytest.mark.parametrize("kind", ["int", "logint"])
def test_whole_numbers_are_whole(kind):
    assert all(type(d[kind]) is int for d in drawn({kind: EVERY_KIND[kind]}))


@pytest.mark.parametrize("kind", ["loguniform", "logint"])
def test_logarithmic_domains_spend_half_below_the_geometric_middle(kind):
    domain = EVERY_KIND[kind]
    middle = (domain.low * domain.high) ** 0.5
    share = sum(d[kind] <= middle for d in drawn({kind: domain}, count=600)) / 600
    assert 0.4 < share < 0.65


def test_a_conditional_parameter_comes_after_its_condition():
    domains = {
        "c": Domain(**UNIT, when={"b": True}),
        "b": Domain(kind="choice", choices=(True, False), when={"a": True}),
        "a": BOTH,
    }
    assert ordered(domains) == ["a", "b", "c"]


def test_independent_parameters_keep_the_order_of_the_file():
    assert ordered({"z": BOTH, "a": BOTH, "m": BOTH}) == ["z", "a", "m"]


def test_a_conditional_parameter_is_drawn_only_when_its_condition_holds():
    domains = {"w": Domain(**UNIT, when={"angles": True}), "angles": BOTH}
    actual = drawn(domains)
    assert all(("w" in d) == d["angles"] for d in actual)
    assert {d["angles"] for d in actual} == {True, False}


def test_what_depends_on_something_not_drawn_is_not_drawn():
    domains = {
        "a": BOTH,
        "b": Domain(kind="choice", choices=(1,), when={"a": True}),
        "c": Domain(**UNIT, when={"b": 1}),
    }
    assert all(("c" in d) == d["a"] for d in drawn(domains))


@pytest.mark.parametrize(("value", "is_drawn"), [("l2", True), ("cos", False)])
def test_a_condition_may_refer_to_a_constant(value, is_drawn):
    domains = {"w": Domain(**UNIT, when={"distance": "l2"})}
    assert all(("w" in d) == is_drawn for d in drawn(domains, {"distance": value}, count=5))


def test_conditions_in_a_circle_are_refused():
    domains = {"a": Domain(**UNIT, when={"b": 1}), "b": Domain(**UNIT, when={"a": 1}), "c": BOTH}
    with pytest.raises(ValueError, match="conditions of a, b depend on each other"):
        ordered(domains)


def test_an_arm_searches_its_own_coefficients_and_those_of_training():
    arm = ArmSpec(name="kd", method="kd", domains={"alpha": Domain(**UNIT)})
    train = ParameterSpec(domains={"lr": EVERY_KIND["loguniform"]})
    assert list(domains_of(arm, train)) == ["alpha", "lr"]
