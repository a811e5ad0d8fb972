"""What holds for every search algorithm."""

from __future__ import annotations

import optuna
import pytest

from raykd import params, registry
from raykd.search.space import suggest
from raykd.spec.domains import Domain

optuna.logging.set_verbosity(optuna.logging.WARNING)

DOMAINS = {
    "lr": Domain(kind="loguniform", low=1e-5, high=1e-3),
    "share": Domain(kind="quniform", low=0.1, high=0.3, step=0.1),
    "depth": Domain(kind="int", low=1, high=4),
    "distance": Domain(kind="choice", choices=("cos", "l2")),
    "weight": Domain(kind="uniform", low=0.0, high=2.0, when={"distance": "l2"}),
}
NAMES = registry.names("algorithms")


def search(name: str, seed: int, trials: int = 0) -> list[dict[str, object]]:
    trials = trials or (10 if name == "gp" else 15)  # a fit of a Gaussian process takes a second
    settings = params.build(registry.params_of("algorithms", name), {})
    sampler = registry.load("algorithms", name)(settings, DOMAINS, seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    actual = []
    for _ in range(trials):
        trial = study.ask()
        actual.append(suggest(trial, DOMAINS, {}))
        study.tell(trial, float(actual[-1]["lr"]) * 1000)
    return actual


@pytest.mark.parametrize("name", NAMES)
def test_values_lie_in_their_domains(name):
    for chosen in search(name, seed=3):
        assert all(DOMAINS[n].contains(v) for n, v in chosen.items())
        assert ("weight" in chosen) == (chosen["distance"] == "l2")


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_searches_the_same(name):
    assert search(name, seed=3) == search(name, seed=3)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "grid"])
def test_another_seed_searches_elsewhere(name):
    assert search(name, seed=3, trials=3) != search(name, seed=4, trials=3)


def test_tpe_moves_to_where_it_is_good():
    late = search("tpe", seed=0, trials=40)[20:]
    good = sum(float(chosen["lr"]) > 3e-4 for chosen in late)
    # A quarter of the domain lies there.
    assert good / len(late) > 0.5
