from __future__ import annotations

import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from optuna.trial import TrialState
from safetensors.torch import save_file

from raykd.results.event_log import EventLog
from raykd.results.records import Evaluation, Status, TrialResult
from raykd.results.serialization import to_dict
from raykd.results.student_mark import mark
from raykd.sweep import run_folder
from raykd.sweep.arm_studies import arm_studies, confirm_trial, search_trial
from raykd.sweep.resume import cut_short, finished_confirmations, settle
from raykd.sweep.search import make_arm, open_storage
from tests.unit.sweep.specs import TASK, spec

COMPLETE, FAIL, PRUNED = TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED
RUNNING, WAITING = TrialState.RUNNING, TrialState.WAITING
PARAMS = {"random": {}, "tpe": {"startup_trials": 3}, "grid": {"points": 4}}


class Driver:
    """What a driver leaves behind in a run folder: studies, and a log."""

    def __init__(self, run, sweep, storage=None):
        self.run, self.spec = run, sweep
        self.arm_studies = [c for c in arm_studies(sweep) if c.task == TASK]
        self.arms = {
            c.arm.name: make_arm(sweep, c, storage or open_storage(run), run)
            for c in self.arm_studies
        }
        self.log = EventLog(run / "events.jsonl", lambda event: None)
        self.log.emit("sweep_resumed")

    def arm_study(self, arm):
        return next(c for c in self.arm_studies if c.arm.name == arm)

    def start(self, arm):
        """A trial that was suggested and began."""
        requested = self.arms[arm].study.suggest(arm)
        config = search_trial(
            self.spec, self.run, self.arm_study(arm), requested["number"], requested["params"]
        )
        self.begin(config)
        return config

    def begin(self, config):
        self.log.emit(
            "trial_started", trial_id=config.trial_id, task=config.task, arm=config.arm,
            number=config.number, stage=config.stage, slot=0,
            params={**config.coefficients, **config.train},
        )  # fmt: skip

    def record(self, config, status, **metrics):
        """Its end in the log; the driver dies before it tells the study."""
        result = TrialResult(
            sweep=self.run.name, task=config.task, arm=config.arm, method=config.method,
            trial_id=config.trial_id, number=config.number, stage=config.stage, status=status,
            params={**config.coefficients, **config.train}, metrics=metrics,
            history=(Evaluation(step=1, epoch=1.0, seconds=1.0, metrics=metrics, terms={}),),
            checkpoint=os.path.relpath(config.save_path, self.run) if config.save_path else "",
        )  # fmt: skip
        self.log.emit("trial_finished", result=to_dict(result))

    def settle(self):
        return settle(self.run, self.arm_studies, self.arms)

    def states(self, arm):
        return [t.state for t in self.arms[arm].study.study.get_trials()]


def save(config):
    """Its student, as far as anyone looks."""
    folder = Path(config.save_path)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    save_file({"weight": torch.ones(4)}, folder / "model.safetensors")


@pytest.fixture
def run(tmp_path):
    return run_folder.create(tmp_path, spec(), "", "", "none")


def test_ends_on_record_are_reported_and_the_others_run_again(run):
    first = Driver(run, spec())
    trials = [first.start("kd") for _ in range(5)]
    ends = [Status.COMPLETED, Status.PRUNED, Status.FAILED, Status.INTERRUPTED]
    for config, status in zip(trials, ends, strict=False):
        first.record(config, status, accuracy=0.75)
    second = Driver(run, spec())
    assert second.settle() == 2
    assert second.states("kd") == [COMPLETE, PRUNED, FAIL, WAITING, WAITING]
    reported = second.arms["kd"].study.study.get_trials()
    assert reported[0].value == 0.75
    assert second.arms["kd"].study.counted() == 3


def test_a_trial_that_runs_again_is_the_trial_that_was_cut(run):
    """Number, identity and seed too, so that it becomes what it would have become."""
    first = Driver(run, spec())
    before = [first.start("kd") for _ in range(2)]
    assert cut_short(run) == {t.trial_id for t in before}
    second = Driver(run, spec())
    second.settle()
    assert [second.start("kd") for _ in range(2)] == before


def test_a_folder_that_was_moved_and_renamed_is_resumed_where_it_is(run, tmp_path):
    first = Driver(run, spec())
    done, cut = first.start("kd"), first.start("kd")
    Path(cut.state_path).write_text("epoch 1")
    first.record(done, Status.COMPLETED, accuracy=0.75)
    best = confirm_trial(spec(), run, first.arm_study("kd"), 0, 1, {"alpha": 0.3, "lr": 1e-3})
    first.begin(best)
    save(best)
    first.record(best, Status.COMPLETED, accuracy=0.7)
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    run.rename(moved)
    second = Driver(moved, spec())
    assert second.settle() == 1
    assert second.states("kd") == [COMPLETE, WAITING]
    again = second.start("kd")
    assert Path(again.state_path).read_text() == "epoch 1"
    assert Path(again.state_path).parent == moved / "state"
    assert replace(again, state_path=cut.state_path) == cut
    assert best.trial_id in finished_confirmations(moved)
    assert not run.exists()


@pytest.mark.parametrize("algorithm", ["random", "tpe", "grid"])
@pytest.mark.parametrize("died_at", [1, 2, 4, 7])
def test_a_resumed_search_draws_what_an_uninterrupted_one_would_have(tmp_path, algorithm, died_at):
    # Nine trials, so that TPE's model draws the last ones.
    sweep = spec(
        search__trials=10, search__algorithm={"name": algorithm, "params": PARAMS[algorithm]}
    )
    runs = [run_folder.create(tmp_path / name, sweep, "", "", "none") for name in ("whole", "cut")]
    drawn = {}
    for run in runs:
        driver = Driver(run, sweep)
        actual = []
        for k in range(10):
            if run is runs[1] and k == died_at:
                driver.start("kd")
                driver = Driver(run, sweep)  # the first was killed while the trial ran
                driver.settle()
            config = driver.start("kd")
            actual.append((config.number, config.coefficients, config.train, config.seed))
            driver.record(config, Status.COMPLETED, accuracy=(k * 7 % 10) / 10)
            driver.arms["kd"].study.complete("kd", [(k * 7 % 10) / 10])
        drawn[run] = actual
    assert drawn[runs[0]] == drawn[runs[1]]


def test_without_its_memory_a_resumed_search_does_not_draw_the_same_again(run):
    first = Driver(run, spec())
    before = [first.start("kd") for _ in range(3)]
    for config in before:
        first.record(config, Status.COMPLETED, accuracy=0.5)
    shutil.rmtree(run / "samplers")
    second = Driver(run, spec())
    second.settle()
    seen = [c.coefficients for c in before]
    assert all(second.start("kd").coefficients not in seen for _ in range(3))


def test_arms_are_settled_each_from_its_own_trials(run):
    first = Driver(run, spec())
    none, kd = first.start("none"), first.start("kd")
    assert none.number == kd.number == 0
    first.record(kd, Status.COMPLETED, accuracy=0.5)
    second = Driver(run, spec())
    assert second.settle() == 1
    assert second.states("kd") == [COMPLETE]
    assert second.states("none") == [WAITING]
    assert second.states("hot") == [WAITING]


def test_settling_twice_changes_nothing_more(run):
    first = Driver(run, spec())
    first.start("kd")
    assert Driver(run, spec()).settle() == 1
    third = Driver(run, spec())
    assert third.settle() == 0
    assert third.states("kd") == [WAITING]


def test_drivers_killed_again_and_again_lose_and_repeat_nothing(run):
    for kill in range(6):
        driver = Driver(run, spec())
        driver.settle()
        one, _ = driver.start("kd"), driver.start("kd")
        # Every other driver dies with the end of one of its two trials on record.
        if kill % 2:
            driver.record(one, Status.COMPLETED, accuracy=0.5)
    last = Driver(run, spec())
    last.settle()
    while WAITING in last.states("kd"):
        last.start("kd")
        last.arms["kd"].study.complete("kd", [0.5])
    trials = last.arms["kd"].study.study.get_trials()
    assert {t.state for t in trials} == {COMPLETE}
    assert len({t.params["alpha"] for t in trials}) == len(trials)
    assert last.arms["kd"].study.counted() == len(trials)


def test_two_objectives_are_reported_in_order(tmp_path):
    sweep = spec(search__objective=[{"metric": "auto"}, {"metric": "latency_ms"}])
    run = run_folder.create(tmp_path, sweep, "", "", "none")
    first = Driver(run, sweep)
    first.record(first.start("kd"), Status.COMPLETED, latency_ms=3.5, accuracy=0.75)
    second = Driver(run, sweep)
    assert second.settle() == 0
    assert second.arms["kd"].study.study.get_trials()[0].values == [0.75, 3.5]


def test_a_failure_for_want_of_a_number_is_a_failure(run):
    first = Driver(run, spec())
    first.record(first.start("kd"), Status.FAILED, accuracy=math.nan)
    second = Driver(run, spec())
    assert second.settle() == 0
    assert second.states("kd") == [FAIL]


def test_confirm_trials_on_record_are_known_with_their_parameters(run):
    driver = Driver(run, spec())
    arm_study = driver.arm_study("kd")
    done, failed, cut_short = (
        confirm_trial(driver.spec, run, arm_study, 0, seed, {"alpha": 0.3, "lr": 1e-3})
        for seed in (1, 2, 3)
    )
    for config in (done, failed, cut_short):
        driver.begin(config)
    driver.record(done, Status.COMPLETED, accuracy=0.5)
    driver.record(failed, Status.FAILED)
    save(done)
    assert finished_confirmations(run) == {
        "toy-sentiment.kd.c0.1": {"alpha": 0.3, "epochs": 2, "lr": 1e-3}
    }


def test_another_configuration_does_not_continue_from_the_state_of_the_first():
    sweep = spec()
    arm_study = next(c for c in arm_studies(sweep) if c.arm.name == "kd")
    one, same, other = (
        confirm_trial(sweep, Path("run"), arm_study, 0, 1, {"alpha": alpha, "lr": 1e-3})
        for alpha in (0.3, 0.3, 0.4)
    )
    assert one.trial_id == other.trial_id
    assert one.state_path == same.state_path != other.state_path


def test_a_confirm_trial_whose_student_is_not_there_runs_again(run):
    driver = Driver(run, spec())
    config = confirm_trial(
        driver.spec, run, driver.arm_study("kd"), 0, 1, {"alpha": 0.3, "lr": 1e-3}
    )
    assert config.save_path is not None
    driver.begin(config)
    driver.record(config, Status.COMPLETED, accuracy=0.5)
    assert not finished_confirmations(run)
    save(config)
    assert set(finished_confirmations(run)) == {config.trial_id}
    params = {**config.coefficients, **config.train}
    mark(Path(config.save_path), config.trial_id, {**params, "alpha": 0.4})
    assert not finished_confirmations(run)
    mark(Path(config.save_path), config.trial_id, params)
    assert set(finished_confirmations(run)) == {config.trial_id}
