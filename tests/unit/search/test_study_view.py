"""What a sampler looks at in a long study."""

from __future__ import annotations

import random

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from raykd import params, registry
from raykd.search.space import suggest
from raykd.search.study_view import BEST, limited_view, trials_for_sampler
from raykd.spec.domains import Domain

optuna.logging.set_verbosity(optuna.logging.WARNING)

DOMAINS = {"x": Domain(kind="uniform", low=0.0, high=1.0)}
SPACE = FloatDistribution(0.0, 1.0)


def ended(value: float, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    x = {"params": {"x": 0.5}, "distributions": {"x": SPACE}}
    return create_trial(state=state, value=value, intermediate_values={1000: value}, **x)


def study(count: int, direction: str = "maximize", sampler=None) -> optuna.Study:
    """The value of a trial says its place; every third one was pruned, and two run."""
    made = optuna.create_study(direction=direction, sampler=sampler)
    draw = random.Random(0)
    for k in range(count):
        pruned = k % 3 == 2
        state = TrialState.PRUNED if pruned else TrialState.COMPLETE
        made.add_trial(ended(draw.random(), state))
    made.ask(), made.ask()
    return made


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_best_the_newest_and_the_running_ones_are_seen(direction):
    made = study(500, direction)
    trials = made.get_trials(deepcopy=False)
    seen = {t.number for t in trials_for_sampler(trials, made.direction, newest=100)}
    completed = [t for t in trials if t.state is TrialState.COMPLETE]
    completed.sort(key=lambda t: t.value, reverse=direction == "maximize")
    best = {t.number for t in completed[:BEST]}
    assert seen == set(range(400, 502)) | best | {0}
    assert min(best) < 400


def test_of_each_set_of_parameters_the_first_one_is_seen():
    """TPE keeps the sets apart in the order it first met them, also in a driver that resumes."""
    trials = [ended(0.5) for _ in range(400)]
    for k, trial in enumerate(trials):
        trial.number = k
        if k % 150 == 7:
            trial.params = {"x": 0.5, "y": 0.5}
    seen = trials_for_sampler(trials, optuna.study.StudyDirection.MAXIMIZE, 100)
    assert {0, 7} <= {t.number for t in seen}


def test_they_stay_in_order():
    trials = study(500).get_trials(deepcopy=False)
    numbers = [
        t.number for t in trials_for_sampler(trials, optuna.study.StudyDirection.MAXIMIZE, 100)
    ]
    assert numbers == sorted(numbers)


def test_a_short_study_is_seen_as_it_is():
    made = study(300)
    assert limited_view(made, 302) is made


def test_a_study_with_two_objectives_is_seen_as_it_is():
    made = optuna.create_study(directions=["maximize", "minimize"])
    for k in range(20):
        made.add_trial(create_trial(values=[k, k], params={"x": 0.5}, distributions={"x": SPACE}))
    assert limited_view(made, 10) is made


def test_what_is_no_trial_is_asked_of_the_study():
    made = study(300)
    shown = limited_view(made, 250)
    assert shown is not made
    assert shown.study_name == made.study_name
    assert shown.direction == made.direction


def tpe(newest: int) -> optuna.samplers.BaseSampler:
    declared = registry.params_of("algorithms", "tpe")
    settings = params.build(declared, {"newest": newest})
    return registry.load("algorithms", "tpe")(settings, DOMAINS, 7)


def test_the_sampler_reads_trials_through_the_view(monkeypatch):
    """Fails when Optuna's samplers come to read trials in another way."""
    made = study(600, sampler=tpe(250))
    counts = []
    split = optuna.samplers._tpe.sampler._split_trials

    def counted(study, trials, n_below):
        counts.append((len(trials), n_below))
        return split(study, trials, n_below)

    monkeypatch.setattr(optuna.samplers._tpe.sampler, "_split_trials", counted)
    suggest(made.ask(), DOMAINS, {})
    assert counts
    assert all(seen <= 250 + BEST + 2 and good == BEST for seen, good in counts)


def test_a_trial_sees_those_before_it():
    made = optuna.create_study(direction="maximize", sampler=tpe(250))
    for k in range(260):
        made.add_trial(ended(k / 260))
    suggest(made.ask(), DOMAINS, {})
    first = made.sampler._view
    suggest(made.ask(), DOMAINS, {})
    last = [t.number for t in made.sampler._view._get_trials(deepcopy=False)]
    assert made.sampler._view is not first
    assert last[-1] == 261


def test_few_trials_are_suggested_as_without_a_view():
    def search(newest: int) -> list[float]:
        made = optuna.create_study(direction="maximize", sampler=tpe(newest))
        actual = []
        for _ in range(60):
            trial = made.ask()
            actual.append(float(suggest(trial, DOMAINS, {})["x"]))
            made.tell(trial, -((actual[-1] - 0.3) ** 2))
        return actual

    assert search(250) == search(10_000)
