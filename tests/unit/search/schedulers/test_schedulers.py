from __future__ import annotations

import random

import optuna
import pytest
from optuna.trial import TrialState

from raykd import params, registry
from raykd.errors import SpecError
from raykd.search.rungs import STEPS

optuna.logging.set_verbosity(optuna.logging.WARNING)
NAMES = registry.names("schedulers")


def scheduler(name, given=(), max_epochs=8):
    settings = params.build(registry.params_of("schedulers", name), dict(given))
    return registry.load("schedulers", name)(settings, max_epochs=max_epochs)


class Search:
    """Trials one after the other, each judged by those before it."""

    def __init__(self, pruner, direction="maximize"):
        self.pruner = pruner
        self.study = optuna.create_study(study_name="glue/rte kd", direction=direction)

    def epochs_of(self, scores):
        """How many epochs a trial with these scores has."""
        trial = self.study.ask()
        for epoch, score in enumerate(scores, start=1):
            trial.report(score, epoch * STEPS)
            own = self.study.get_trials(deepcopy=False)[trial.number]
            if epoch < len(scores) and self.pruner.prune(self.study, own):
                self.study.tell(trial, state=TrialState.PRUNED)
                return epoch
        self.study.tell(trial, scores[-1])
        return len(scores)


HALVING = {"grace_period": 2, "reduction_factor": 2}


def test_without_a_scheduler_every_trial_runs_to_its_end():
    made = Search(scheduler("none"))
    assert [made.epochs_of([score] * 8) for score in (0.9, 0.1)] == [8, 8]


def test_halving_stops_a_worse_trial_at_a_rung_and_not_before_the_grace_period():
    made = Search(scheduler("asha", HALVING))
    assert made.epochs_of([0.9] * 8) == 8
    assert made.epochs_of([0.1] * 8) == 2
    assert made.epochs_of([0.9, 0.95, 0.2, 0.2, 0.2]) == 4


def test_a_better_trial_continues():
    made = Search(scheduler("asha", HALVING))
    assert [made.epochs_of([score] * 8) for score in (0.5, 0.8)] == [8, 8]


def test_a_rung_between_two_evaluations_is_that_of_the_next_one():
    made = Search(scheduler("asha", {"grace_period": 1, "reduction_factor": 2}))
    for score in (0.9, 0.1):
        trial = made.study.ask()
        trial.report(score, STEPS // 2)
        own = made.study.get_trials(deepcopy=False)[trial.number]
        assert not made.pruner.prune(made.study, own)
        trial.report(score, 3 * STEPS // 2)
        own = made.study.get_trials(deepcopy=False)[trial.number]
        assert made.pruner.prune(made.study, own) == (score == 0.1)


def test_less_is_better_where_the_objective_is_minimised():
    made = Search(scheduler("asha", HALVING), "minimize")
    assert [made.epochs_of([score] * 8) for score in (0.5, 0.8, 0.1)] == [8, 2, 8]


def test_a_grace_period_beyond_the_training_stops_nobody():
    made = Search(scheduler("asha", {"grace_period": 5}, max_epochs=3))
    assert [made.epochs_of([score] * 3) for score in (0.9, 0.1)] == [3, 3]


def test_the_median_rule_waits_for_trials_to_end_and_then_stops_the_worse_half():
    made = Search(scheduler("median", {"grace_period": 2, "startup_trials": 3}))
    assert [made.epochs_of([score] * 4) for score in (0.1, 0.5, 0.9)] == [4, 4, 4]
    assert made.epochs_of([0.4] * 4) == 2
    assert made.epochs_of([0.6] * 4) == 4


def test_the_median_rule_compares_trials_that_are_evaluated_at_other_epochs():
    made = Search(scheduler("median", {"grace_period": 1, "startup_trials": 3}))
    for score in (0.5, 0.6, 0.7):  # with another batch size, half an epoch is another number
        trial = made.study.ask()
        for step in (503, 1003, 1503, 2000):
            trial.report(score if step < 2000 else 0.9, step)
        made.study.tell(trial, 0.9)
    for score, is_stopped in ((0.59, True), (0.61, False)):
        trial = made.study.ask()
        trial.report(score, 1497)
        own = made.study.get_trials(deepcopy=False)[trial.number]
        assert made.pruner.prune(made.study, own) == is_stopped


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_median_rule_is_that_of_optuna_where_epochs_are_equal(direction):
    actual = Search(scheduler("median", {"grace_period": 2, "startup_trials": 4}), direction)
    expected = Search(optuna.pruners.MedianPruner(4, 2 * STEPS), direction)
    draw = random.Random(0)
    for _ in range(60):
        scores = [draw.gauss(0, 1) for _ in range(8)]
        assert actual.epochs_of(scores) == expected.epochs_of(scores)


def test_hyperband_has_brackets_that_stop_late_or_never():
    made = Search(scheduler("hyperband", {"grace_period": 1, "reduction_factor": 2}, max_epochs=4))
    epochs = [made.epochs_of([1 - k / 100] * 4) for k in range(200)]
    # Every trial is worse than those before it: it goes as far as the first rung of its bracket.
    counts = [epochs[3:].count(n) for n in (1, 2, 4)]
    assert sum(counts) == 197
    assert counts[0] > counts[1] > 0
    assert counts[2] > 0


@pytest.mark.parametrize("name", [n for n in NAMES if n != "none"])
def test_a_scheduler_stops_nobody_who_is_ahead(name):
    made = Search(scheduler(name))
    assert [made.epochs_of([k / 100] * 8) for k in range(20)] == [8] * 20


@pytest.mark.parametrize("given", [{"grace_period": 0}, {"reduction_factor": 1}])
def test_parameters_have_bounds(given):
    with pytest.raises(SpecError):
        scheduler("asha", given)
