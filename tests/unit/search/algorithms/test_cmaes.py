"""CMA-ES: where it goes, what it leaves to chance, and what it is not for."""

from __future__ import annotations

import statistics
from pathlib import Path

import optuna
import pytest

from raykd import params, registry
from raykd.search.space import suggest
from raykd.spec.domains import Domain
from tests.unit.spec.files import only

optuna.logging.set_verbosity(optuna.logging.WARNING)

SLANTED = {
    "a": Domain(kind="uniform", low=-1.0, high=1.0),
    "b": Domain(kind="uniform", low=-1.0, high=1.0),
    "kind": Domain(kind="choice", choices=("x", "y")),
    "size": Domain(kind="int", low=1, high=9, when={"kind": "x"}),
}


def actual(name: str, trials: int, seed: int) -> list[float]:
    """Scores on a narrow ridge across two parameters, the best of which is 0."""
    settings = params.build(registry.params_of("algorithms", name), {})
    sampler = registry.load("algorithms", name)(settings, SLANTED, seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    scores = []
    for _ in range(trials):
        trial = study.ask()
        chosen = suggest(trial, SLANTED, {})
        a, b = float(chosen["a"]), float(chosen["b"])
        scores.append(-(((a - b) * 4) ** 2) - (a + b - 0.8) ** 2)
        study.tell(trial, scores[-1])
    return scores


def test_it_follows_a_ridge_that_random_draws_do_not_find():
    late = [statistics.mean(actual("cmaes", 80, seed)[60:]) for seed in range(3)]
    by_chance = statistics.mean(actual("random", 80, 0)[60:])
    assert all(score > by_chance / 20 for score in late), (late, by_chance)


def test_choices_and_what_depends_on_them_are_drawn_all_the_same():
    settings = params.build(registry.params_of("algorithms", "cmaes"), {})
    study = optuna.create_study(sampler=registry.load("algorithms", "cmaes")(settings, SLANTED, 0))
    kinds = set()
    for number in range(20):
        trial = study.ask()
        chosen = suggest(trial, SLANTED, {})
        assert ("size" in chosen) == (chosen["kind"] == "x")
        kinds.add(chosen["kind"])
        study.tell(trial, float(number))
    assert kinds == {"x", "y"}


FILE = """\
name: f
tasks: [toy/sentiment]
teacher: {model: {family: bert, layers: 2, hidden: 16, heads: 2}}
student: {model: {family: bert, layers: 1, hidden: 16, heads: 2}}
train: {lr: {loguniform: [1e-4, 1e-2]}}
methods: {kd: {}}
search: {algorithm: ALGORITHM, objective: [{metric: accuracy}, {metric: latency_ms}]}
"""


@pytest.mark.parametrize("given", ["cmaes", "{name: cmaes, population: 6}"])
def test_several_objectives_are_refused_in_one_message(tmp_path: Path, given: str):
    problem = only(tmp_path, FILE.replace("ALGORITHM", given))
    assert problem.path == "search.algorithm"
    assert problem.message == "cmaes needs one objective, the file has 2 (accuracy, latency_ms)"
    assert "nsga2" in problem.hint


def test_constraints_are_refused_as_it_would_search_where_they_are_broken(tmp_path: Path):
    both = "objective: [{metric: accuracy}, {metric: latency_ms}]"
    text = FILE.replace("ALGORITHM", "cmaes").replace(both, "constraints: [latency_ms <= 5]")
    problem = only(tmp_path, text)
    assert problem.path == "search.algorithm"
    assert problem.message.startswith("cmaes would search where constraints are broken")
