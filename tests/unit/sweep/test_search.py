"""The studies of a sweep, and what Ray Tune is left with of a trial that is over."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from types import SimpleNamespace

import pytest
from optuna.storages import JournalStorage
from ray.tune import ExperimentAnalysis
from ray.tune.execution.tune_controller import TuneController
from ray.tune.trainable.metadata import _TrainingRunMetadata

from raykd.errors import SetupError
from raykd.ray_private import silent_progress
from raykd.ray_private.tune_state import without_tune_state
from raykd.results.store import load_results
from raykd.search.arms import SearchError
from raykd.search.lag import lag_for
from raykd.spec.schema import SweepSpec
from raykd.sweep import search as search_stage
from raykd.sweep.arm_studies import arm_studies
from raykd.sweep.search import device_budget, idle_slots, make_arm
from tests.synthetic_run import spec as search_space
from tests.synthetic_run import write_run
from tests.unit.search.studies import JournalInMemory
from tests.unit.sweep.specs import spec


def test_statistics_that_nobody_reads_are_dropped():
    kept = _TrainingRunMetadata()
    kept.last_result = {"event": "{}"}
    kept.update_metric("time_total_s", 1.5)
    assert kept.metric_analysis
    assert kept.metric_n_steps
    silent_progress().on_trial_complete(0, [], SimpleNamespace(run_metadata=kept))
    assert not kept.metric_analysis
    assert not kept.metric_n_steps
    assert kept.last_result == {"event": "{}"}


class NoDisk:
    """What is asked of Tune's own controller where no temporary file can be written."""

    experiment_state_file_name = "experiment_state-2026.json"

    def __init__(self, folder):
        self._checkpoint_manager = self
        self.experiment_path = str(folder / "search")

    def save_to_dir(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    def sync_up_experiment_state(self, save_fn, **how):
        save_fn()


def test_a_state_of_tune_that_cannot_be_written_ends_no_search(tmp_path):
    controller = NoDisk(tmp_path)
    with without_tune_state():
        TuneController.checkpoint(controller)
        TuneController.checkpoint(controller, force=True, wait=True)
    assert ExperimentAnalysis(controller.experiment_path).trials == []  # as Tune does at the end
    (tmp_path / "file").write_text("")
    with without_tune_state():
        TuneController.checkpoint(NoDisk(tmp_path / "file"))
    with pytest.raises(OSError, match="No space left"):
        TuneController.checkpoint(controller)


def test_a_state_of_tune_that_was_deleted_is_not_written_again(tmp_path):
    """A cluster was lost, the folder deleted, and Tune does not know it yet."""
    controller = NoDisk(tmp_path / "ray")
    with without_tune_state():
        TuneController.checkpoint(controller)
        assert (tmp_path / "ray").exists()
        shutil.rmtree(tmp_path / "ray")
        TuneController.checkpoint(controller, force=True)
    assert not (tmp_path / "ray").exists()


class Searcher:
    """What a stage asks of the search of its arms."""

    ended = False

    def remaining(self):
        return 3

    def end(self):
        self.ended = True


def staged(monkeypatch, tmp_path, fit, searcher=None, *, deadline=None, note=lambda words: None):
    """A stage of a search, with something in the place of Tune."""
    stand_in = SimpleNamespace(fit=fit)
    monkeypatch.setattr(search_stage, "_tuner", lambda searcher, run, name: stand_in)
    stop = threading.Event()
    given = {"run": tmp_path, "name": "toy", "deadline": deadline, "stop": stop, "note": note}
    search_stage.search(searcher or Searcher(), **given)


def test_an_error_that_came_through_tune_is_raised_as_it_was(monkeypatch, tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")

    def fit():
        try:
            raise SetupError("cannot write events.jsonl") from full
        except SetupError as exc:
            raise SearchError(exc) from exc

    with pytest.raises(SetupError, match=r"cannot write events\.jsonl") as caught:
        staged(monkeypatch, tmp_path, fit)
    assert caught.value.__cause__ is full
    assert not [thread for thread in threading.enumerate() if thread.name == "time budget"]


def test_a_time_budget_ends_the_search_though_nothing_can_be_written(monkeypatch, tmp_path):
    def note(words):
        raise SetupError(f"cannot write: {words}")

    searcher = Searcher()

    def fit():
        while not searcher.ended:
            time.sleep(0.01)

    with pytest.raises(SetupError, match="the time budget ended the search on toy with 3 trials"):
        staged(monkeypatch, tmp_path, fit, searcher, deadline=time.monotonic(), note=note)


def lags(**changes: object) -> list[int | None]:
    """The lags of the arms of a task, each with studies of its own."""
    made = spec(**changes)
    storage = JournalStorage(JournalInMemory())
    return [make_arm(made, arm, storage, slots=8).study.lag for arm in arm_studies(made)]


def test_the_lag_of_a_file_is_that_of_new_studies():
    assert set(lags(search__lag=5)) == {5}
    assert set(lags(search__lag="none")) == {None}
    (auto,) = set(lags())
    assert auto == lag_for(8, len(spec().methods))


def test_a_search_that_reads_no_results_waits_for_none():
    assert set(lags(search__algorithm={"name": "random"})) == {None}
    halving = {"search__algorithm": {"name": "random"}, "search__scheduler": {"name": "asha"}}
    assert None not in lags(**halving)


def test_a_study_keeps_its_lag():
    storage = JournalStorage(JournalInMemory())
    arm = arm_studies(spec())[0]
    for slots in (4, 48):
        made = make_arm(spec(), arm, storage, slots=slots).study
        assert made.lag == lag_for(4, len(spec().methods))


def test_a_lag_too_small_for_the_slots_is_reported():
    storage = JournalStorage(JournalInMemory())
    made = spec(search__lag=0)
    arms = {arm.arm.name: make_arm(made, arm, storage) for arm in arm_studies(made)}
    assert not idle_slots(arms, len(arms))
    message = idle_slots(arms, len(arms) + 1)
    assert f"of {len(arms) + 1} slots at most {len(arms)} work at a time" in message
    assert f"search.lag: {lag_for(len(arms) + 1, len(arms))}" in message


def test_the_control_group_is_as_large_as_the_file_says():
    def members(**changes: object) -> set[int]:
        made = spec(**changes)
        arm = make_arm(made, arm_studies(made)[0], JournalStorage(JournalInMemory()))
        return {n for n in range(100) if n in arm.study.control}

    halving = {"search__scheduler": {"name": "asha"}}
    assert len(members(**halving)) == pytest.approx(10, abs=1)
    assert len(members(**halving, search__control=0.5)) == pytest.approx(50, abs=2)
    assert members(**halving, search__control=0.0) == set()
    assert members() == set()  # nobody is stopped


def test_the_teacher_is_charged_to_the_arms_that_read_it(tmp_path):
    run = write_run(tmp_path / "run").folder
    result, made = load_results(run), search_space()
    task = result.tasks[0].name
    searches = [s for s in arm_studies(made) if s.task == task]
    assert device_budget(made, result, searches, 2.0).share("kd") == 0.0
    limited = with_search(made, device_budget_s=100.0)
    actual = device_budget(limited, result, searches, 2.0)
    teacher = result.teacher(task)
    assert teacher is not None
    reading = [n for n, arm in made.methods.items() if arm.method != "none"]
    for name in made.methods:
        own = sum(t.device_seconds for t in result.of(task, name, "search"))
        part = 2.0 * teacher.seconds / len(reading) if name in reading else 0.0
        assert actual.share(name) == pytest.approx((own + part) / 100.0)


def with_search(made: SweepSpec, **search: object) -> SweepSpec:
    return made.model_copy(update={"search": made.search.model_copy(update=search)})
