"""A slot: state does not leak, stops are cheap, failures and lost workers are the trial's alone."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.train.v2.api.exceptions import TrainingFailedError

from raykd import registry
from raykd.clusters.processes import descendants
from raykd.ray_private.trainer import EndableTrainer
from raykd.results.records import Evaluation
from raykd.sweep.in_process import run_in_process
from raykd.teachers import object_store
from raykd.teachers.prepared_task import PreparedTask
from raykd.trial.coordinator import answer, start_coordinator
from raykd.trial.run import TrialConfig
from raykd.trial.unread import read, unread
from raykd.trial.worker import TrialJob
from tests.integration.conftest import Bench, publish, trial_config

COLD = """
import json, sys, torch
from pathlib import Path
from raykd import registry
from raykd.sweep.in_process import prepare_task, run_in_process
from tests.integration.conftest import tiny_spec, trial_config
torch.set_num_threads(1)
folder, name = sys.argv[1:]
history = []
task = registry.load("tasks", name)
_, prepared, cached = prepare_task(tiny_spec(), name, Path(folder), lambda *progress: None)
assert cached
outcome = run_in_process(trial_config(), prepared, task, history.append)
history.append(outcome.evaluation)
print(json.dumps([[e.step, dict(e.metrics), dict(e.terms)] for e in history]))
"""


def _bits(events: list[dict[str, Any]]) -> list[Any]:
    """What a trial reported, without times."""
    seen = [e["evaluation"] for e in events if e["kind"] in ("evaluation", "done")]
    return [[e["step"], e["metrics"], e["terms"]] for e in seen]


def test_first_and_tenth_trial_of_a_slot_are_bit_identical_and_need_no_ray(
    bench: Bench, prepared: PreparedTask
) -> None:
    first = bench.run(trial_config())
    for k in range(8):
        other = bench.run(trial_config(seed=k, coefficients={"alpha": 0.1 * k, "temperature": 4.0}))
        assert other[-1]["kind"] == "done"
    tenth = bench.run(trial_config())
    assert len(_bits(first)) == 2
    assert _bits(tenth) == _bits(first) == _here(prepared)


def _here(prepared: PreparedTask) -> list[Any]:
    """What the trial reports in this process, on one thread as in the slot."""
    history: list[Evaluation] = []
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        task = registry.load("tasks", prepared.task)
        outcome = run_in_process(trial_config(), prepared, task, history.append)
    finally:
        torch.set_num_threads(before)
    return [
        [e.step, dict(e.metrics), dict(e.terms)] for e in (*history, outcome.evaluation)
    ]  # fmt: skip


@pytest.mark.slow
def test_a_trial_of_a_new_process_is_bit_identical_to_one_of_a_slot(
    bench: Bench, prepared: PreparedTask, cache_folder: Path
) -> None:
    cold = subprocess.run(
        [sys.executable, "-c", COLD, str(cache_folder), prepared.task],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert _bits(bench.run(trial_config())) == json.loads(cold.stdout)


def test_cancelled_trial_makes_room_for_the_next_at_once(bench: Bench) -> None:
    endless = trial_config(train={"epochs": 100_000, "batch_size": 32, "lr": 1e-3})
    job = bench.submit(endless)
    while not answer(bench.coordinator.pull.remote(job, 0, 1.0)):
        pass
    began = time.monotonic()
    answer(bench.coordinator.cancel.remote(job))
    assert bench.run(trial_config())[-1]["kind"] == "done"
    assert bench.events(job)[-1]["kind"] == "cancelled"
    assert time.monotonic() - began < 20


def test_a_trial_that_never_reports_is_stopped_too(bench: Bench) -> None:
    """A loop in a method holds neither its slot nor the end of a sweep."""
    stuck = trial_config(method="tests.integration.stuck_method", coefficients={"how": "loop"})
    job = bench.submit(stuck)
    while not any(
        n.get("job") == job for n in answer(bench.coordinator.notifications.remote(0, 0.0))
    ):
        time.sleep(0.05)
    time.sleep(0.5)  # it is leased, and comes to its first step
    began = time.monotonic()
    answer(bench.coordinator.cancel.remote(job))
    assert bench.run(trial_config())[-1]["kind"] == "done"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("how", "message"), [("exit", "SystemExit: 3"), ("interrupt", "KeyboardInterrupt")]
)
def test_a_method_that_ends_its_process_is_a_failure_with_a_name(
    bench: Bench, how: str, message: str
) -> None:
    config = trial_config(method="tests.integration.stuck_method", coefficients={"how": how})
    (end,) = bench.run(config)
    assert (end["kind"], end["error"]) == ("failed", message)
    assert "ends its process" in end["hint"]
    assert bench.run(trial_config())[-1]["kind"] == "done"


@pytest.mark.slow
def test_a_method_that_kills_its_process_is_given_up_with_what_may_be_the_cause(
    bench: Bench,
) -> None:
    config = trial_config(method="tests.integration.stuck_method", coefficients={"how": "die"})
    end = bench.run(config, max_failures=0)[-1]
    assert end["error"].startswith("given up after 1 attempts")
    assert "os._exit" in end["hint"]
    assert bench.run(trial_config())[-1]["kind"] == "done"


@pytest.mark.slow
def test_a_slot_whose_process_was_stopped_is_started_anew(bench: Bench) -> None:
    assert bench.run(trial_config())[-1]["kind"] == "done"
    assert bench.pool is not None
    (worker,) = [
        process for process in psutil.process_iter()
        if process.name().startswith("ray::RayTrain")
        and psutil.Process().pid in {parent.pid for parent in process.parents()}
    ]  # fmt: skip
    worker.suspend()
    bench.pool.restart(0)
    assert bench.run(trial_config(), max_failures=1)[-1]["kind"] == "done"
    assert not worker.is_running()


def test_the_coordinator_imports_nothing_of_what_it_passes_on(
    cluster: None, prepared: PreparedTask
) -> None:
    coordinator = start_coordinator("passing-on", ray.get_runtime_context().namespace)
    handle = object_store.publish(prepared, registry.load("tasks", prepared.task))
    publish(coordinator, handle)
    job = TrialJob(config=trial_config(), key=handle.fingerprint)
    answer(coordinator.submit.remote("one", unread(job), 0))
    taken, _, payload = answer(coordinator.take.remote(0, "here", 10.0))
    assert (taken, read(payload)) == ("one", job)
    assert read(answer(coordinator.read.remote(job.key))).checksum == handle.checksum
    imported = answer(coordinator.__ray_call__.remote(lambda self: set(sys.modules)))
    assert "ray" in imported
    assert not {"torch", "transformers", "optuna"} & imported
    ray.kill(coordinator)


def test_a_coordinator_that_was_stopped_counts_as_lost_in_the_end(cluster: None) -> None:
    coordinator = start_coordinator("stopped", ray.get_runtime_context().namespace)
    process = psutil.Process(answer(coordinator.__ray_call__.remote(lambda self: os.getpid())))
    process.suspend()
    with pytest.raises(ray.exceptions.RayActorError, match="has not answered for 1 s"):
        answer(coordinator.is_closed.remote(), 1.0)
    process.resume()
    assert not answer(coordinator.is_closed.remote())
    ray.kill(coordinator)


def test_diverged_trial_fails_with_the_reason_and_the_slot_continues(bench: Bench) -> None:
    diverging = {"epochs": 2, "batch_size": 32, "lr": 1e30, "max_grad_norm": None}
    end = bench.run(trial_config(train=diverging))[-1]
    assert end["kind"] == "failed"
    assert "NaN" in end["error"] or "infinite" in end["error"]
    assert "TrialError" in end["traceback"]
    assert bench.run(trial_config())[-1]["kind"] == "done"


def test_write_to_the_shared_teacher_is_noticed(bench: Bench, prepared: PreparedTask) -> None:
    own = replace(prepared, fingerprint="to-be-spoilt")
    handle = object_store.publish(own, registry.load("tasks", own.task))
    publish(bench.coordinator, handle)
    spoilt = Bench(bench.coordinator, handle)
    assert spoilt.run(trial_config())[-1]["kind"] == "done"
    # NumPy refuses to write to the store's memory; torch does not look.
    shared = object_store.fetch(handle).cached_outputs
    assert shared is not None
    logits = shared.parts["logits"].chunks[0]
    assert not logits.flags.writeable
    torch.from_numpy(logits).add_(1.0)
    end = spoilt.run(trial_config())[-1]
    assert end["kind"] == "failed"
    assert "were written to" in end["error"]


def test_trial_of_a_killed_worker_is_run_again(bench: Bench) -> None:
    (pid,) = worker_pids()
    long = trial_config(train={"epochs": 40, "batch_size": 32, "lr": 1e-3, "precision": "fp32"})
    job = bench.submit(long, max_failures=1)
    while not (seen := answer(bench.coordinator.pull.remote(job, 0, 1.0))):
        pass
    os.kill(pid, signal.SIGKILL)
    assert seen[0]["lease"]["attempt"] == 1
    end = bench.events(job)[-1]
    assert end["kind"] == "done"
    assert end["lease"]["attempt"] == 2
    assert end["evaluation"]["epoch"] == 40


def worker_pids(name: str = "RayTrainWorker") -> list[int]:
    """The processes of slots of this cluster, or other actors of a name."""
    actual = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if f"ray::{name}" in Path(f"/proc/{pid}/cmdline").read_text():
                actual.append(pid)
    return actual


def _places() -> int:
    """What slots hold of the cluster."""
    held = ray.util.placement_group_table().values()
    return sum(place["state"] in ("CREATED", "PENDING") for place in held)


def _fails(settings: dict[str, Any]) -> None:
    raise ValueError("the reason")


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_trainer_raises_why_its_workers_failed_and_leaves_their_place(
    cluster: None, tmp_path: Path, ranks: int
) -> None:
    trainer = DataParallelTrainer(
        _fails,
        train_loop_config={},
        scaling_config=ScalingConfig(num_workers=ranks, resources_per_worker={"CPU": 0.25}),
        run_config=RunConfig(name="failing", storage_path=str(tmp_path)),
    )
    before = _places()
    with pytest.raises(TrainingFailedError, match="the reason"):
        EndableTrainer(trainer).fit()
    assert _places() == before


def _begins(settings: dict[str, Any]) -> None:
    Path(settings["folder"], uuid.uuid4().hex).touch()
    time.sleep(600)


@pytest.mark.slow
def test_nothing_stays_of_a_trainer_that_is_ended(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1")  # as on other clusters
    begun = tmp_path / "begun"
    begun.mkdir()
    trainer = EndableTrainer(
        DataParallelTrainer(
            _begins,
            train_loop_config={"folder": str(begun)},
            scaling_config=ScalingConfig(num_workers=2, resources_per_worker={"CPU": 0.25}),
            run_config=RunConfig(name="endless", storage_path=str(tmp_path)),
        )
    )

    def started() -> set[int]:
        names = ("SynchronizationActor", "PreemptionWatcher", "RayTrainWorker")
        return {pid for name in names for pid in worker_pids(name)}

    before, places = started(), _places()
    with ThreadPoolExecutor(1) as threads:
        fitting = threads.submit(trainer.fit)
        try:
            until = time.monotonic() + 60
            while len(list(begun.iterdir())) < 2 and time.monotonic() < until:
                time.sleep(0.05)
            assert set(worker_pids("SynchronizationActor")) - before
        finally:
            trainer.end()
        raised = fitting.exception(30)  # kept, and with it what it came through
    until = time.monotonic() + 10
    while started() - before and time.monotonic() < until:
        time.sleep(0.05)
    assert str(raised).endswith("ended")
    assert (started() - before, _places()) == (set(), places)


def test_nobody_asks_other_clusters_whether_a_slot_lives(bench: Bench) -> None:
    bench.run(trial_config())
    assert not worker_pids("TrainController")  # a thread of this process
    assert not worker_pids("PlacementGroupCleaner")


def test_only_workers_import_torch_and_no_process_is_there_in_vain(bench: Bench) -> None:
    bench.run(trial_config())

    def has_torch(pid: int) -> bool:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()

    for pid in worker_pids():
        assert has_torch(pid)
        # Which has imported it once for all of them.
        assert "raykd.clusters.fork_server" in psutil.Process(pid).parent().cmdline()
    assert not worker_pids("DatasetManager")
    assert not worker_pids("_AutoscalingCoordinatorActor")
    assert not worker_pids("SynchronizationActor")


@pytest.mark.slow
def test_two_ranks_train_as_one_does(
    bench: Bench, two_ranks: Bench, prepared: PreparedTask
) -> None:
    config = trial_config(
        train={"epochs": 2, "batch_size": 32, "lr": 3e-3, "precision": "fp32", "dropout": 0.0}
    )
    one = [e["evaluation"] for e in bench.run(config) if "evaluation" in e]
    two = [e["evaluation"] for e in two_ranks.run(config) if "evaluation" in e]
    assert worker_pids("SynchronizationActor")  # which a lone rank is not given
    assert [e["step"] for e in one] == [e["step"] for e in two]
    for a, b in zip(one, two, strict=True):
        for name, value in a["terms"].items():
            assert abs(b["terms"][name] - value) <= 1e-4 * max(1.0, abs(value)), name


@pytest.mark.slow
def test_failure_on_two_ranks_ends_the_trial_and_not_the_slot(two_ranks: Bench) -> None:
    diverging = {"epochs": 2, "batch_size": 32, "lr": 1e30, "max_grad_norm": None}
    assert two_ranks.run(trial_config(train=diverging))[-1]["kind"] == "failed"
    assert two_ranks.run(trial_config())[-1]["kind"] == "done"


def of_one_rank(how: str, counted: str = "") -> TrialConfig:
    return trial_config(
        arm="lone", method="tests.integration.lone_rank",
        coefficients={"how": how, "counted": counted},
    )  # fmt: skip


@pytest.mark.slow
def test_what_one_rank_alone_fails_with_is_named(two_ranks: Bench) -> None:
    end = two_ranks.run(of_one_rank("raise"), max_failures=1)[-1]
    assert (end["kind"], end["error"]) == ("failed", "ValueError: only here")
    assert "lone_rank.py" in end["traceback"]


@pytest.mark.slow
def test_a_trial_of_which_a_rank_was_killed_is_run_again(two_ranks: Bench, tmp_path: Path) -> None:
    deaths = tmp_path / "deaths"
    deaths.write_text("x")
    end = two_ranks.run(of_one_rank("die", str(deaths)), max_failures=1)[-1]
    assert (end["kind"], deaths.read_text()) == ("done", "")
    deaths.write_text("xx")
    end = two_ranks.run(of_one_rank("die", str(deaths)), max_failures=1)[-1]
    assert end["kind"] == "failed"
    assert "given up after 2 attempts" in end["error"]


def test_config_travels_as_plain_data() -> None:
    assert json.loads(json.dumps(asdict(trial_config())))["seed"] == 5
