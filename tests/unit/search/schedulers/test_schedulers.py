from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from raykd import params, registry
from raykd.errors import SpecError


def scheduler(name, given=(), mode="max", max_epochs=8):
    settings = params.build(registry.params_of("schedulers", name), dict(given))
    return registry.load("schedulers", name)(settings, mode=mode, max_epochs=max_epochs)


def verdicts(made, name, objectives):
    """What is said after each epoch, up to the end."""
    trial = SimpleNamespace(trial_id=name)
    made.on_trial_add(None, trial)
    said = []
    for epoch, objective in enumerate(objectives, start=1):
        result = {"epoch": float(epoch), "objective": objective}
        said.append(made.on_trial_result(None, trial, result))
        if said[-1] == TrialScheduler.STOP:
            break
    return said


GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
HALVING = {"grace_period": 2, "reduction_factor": 2}


def test_without_a_scheduler_every_trial_runs_to_its_end():
    made = scheduler("none")
    assert verdicts(made, "good", [0.9] * 8) == [GO] * 8
    assert verdicts(made, "bad", [0.1] * 8) == [GO] * 8


def test_halving_stops_a_worse_trial_at_a_rung_and_not_before_the_grace_period():
    made = scheduler("asha", HALVING)
    assert verdicts(made, "good", [0.9] * 8) == [GO] * 8
    assert verdicts(made, "bad", [0.1] * 8) == [GO, STOP]
    assert verdicts(made, "late", [0.9, 0.95, 0.2, 0.2, 0.2]) == [GO, GO, GO, STOP]


def test_a_better_trial_goes_on():
    made = scheduler("asha", HALVING)
    verdicts(made, "first", [0.5] * 8)
    assert verdicts(made, "second", [0.8] * 8) == [GO] * 8


def test_less_is_better_where_the_objective_is_minimised():
    made = scheduler("asha", HALVING, mode="min")
    verdicts(made, "first", [0.5] * 8)
    assert verdicts(made, "worse", [0.8] * 8) == [GO, STOP]
    assert verdicts(made, "better", [0.1] * 8) == [GO] * 8


def test_a_grace_period_beyond_the_training_stops_nobody():
    made = scheduler("asha", {"grace_period": 5}, max_epochs=3)
    assert verdicts(made, "good", [0.9] * 3) == [GO] * 3
    assert verdicts(made, "bad", [0.1] * 3) == [GO] * 3


@pytest.mark.parametrize("given", [{"grace_period": 0}, {"reduction_factor": 1}])
def test_parameters_have_bounds(given):
    with pytest.raises(SpecError):
        scheduler("asha", given)
