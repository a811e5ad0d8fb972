"""Recording a teacher together, and publishing one that was lost."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from raykd import registry
from raykd.clusters import node_capabilities, nodes
from raykd.models import weights
from raykd.models.file_arrays import digest_of
from raykd.results.event_log import EventLog
from raykd.sweep import run_folder
from raykd.sweep.in_process import prepare_task
from raykd.sweep.teacher_provider import TeacherProvider
from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers import object_store
from raykd.teachers.assembly import assemble
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.prepare import prepare
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.user_cache import open_cache
from raykd.training.device import DistributedContext, has_bf16
from raykd.trial.coordinator import answer
from raykd.trial.preparation import PrepareJob
from raykd.trial.spreading import Spreading
from raykd.trial.unread import read, unread
from tests.integration.conftest import TASK, Bench, open_bench, publish, tiny_spec, trial_config
from tests.integration.test_slot import worker_pids

ROWS = 5000  # three blocks


@pytest.fixture(scope="module")
def inputs() -> TaskInputs:
    plain = tiny_spec().as_dict()
    spec = tiny_spec(
        data={**plain["data"], "limit": None, "student_rows": ROWS},
        teacher={**plain["teacher"], "finetune": {"epochs": 1, "rows": 64}},
    )
    return plan_teacher(spec, set_up_task(spec, TASK), 1 << 30).inputs


@pytest.fixture
def own_slots(
    cluster: None, prepared: PreparedTask, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Two slots of a test that kills one of them."""
    yield from open_bench(prepared, 1, tmp_path_factory.mktemp("slots"), slots=2)


def done(
    bench: Bench, inputs: TaskInputs, files: str = "/nowhere/draft"
) -> tuple[PreparedTask, list[Any]]:
    """What came out of a preparation on the slots, and its blocks."""
    ref = ray.put(inputs)
    job = unread(PrepareJob(inputs=(ref,), files=files))
    answer(bench.coordinator.submit.remote("teacher", job, 1))
    end = bench.events("teacher")[-1]
    assert end["kind"] == "done", end
    made = ray.get(end["result"][0])
    blocks = ray.get([block.ref for block in end["blocks"]])
    return assemble(
        inputs, replace(made, cached_outputs=made.cached_outputs.with_chunks(blocks))
    ), blocks


def leases(bench: Bench) -> dict[str, int]:
    """Which slot took which job."""
    notifications = answer(bench.coordinator.notifications.remote(0, 0.0))
    return {n["job"]: n["slot"] for n in notifications if n["kind"] == "leased"}


def so_far(bench: Bench, job: str) -> list[dict[str, Any]]:
    """The events of a job up to now."""
    return list(answer(bench.coordinator.pull.remote(job, 0, 0.0)))


def alone(inputs: TaskInputs) -> PreparedTask:
    made = prepare(inputs, DistributedContext(), lambda *progress: None)
    assert made is not None
    return made[0]


def wait_for_slots(bench: Bench, count: int) -> None:
    def ready() -> int:
        notifications = answer(bench.coordinator.notifications.remote(0, 0.0))
        last = {n["slot"]: n["state"] for n in notifications if n["kind"] == "slot"}
        return list(last.values()).count("ready")

    until = time.monotonic() + 120
    while ready() < count:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_slots_record_together_what_one_records_alone(two_slots: Bench, inputs: TaskInputs) -> None:
    wait_for_slots(two_slots, 2)
    actual, blocks = done(two_slots, inputs)
    assert len(blocks) == 3
    # On one thread or two the products may round differently; the rows are the same.
    assert actual.cached_outputs is not None
    assert len(actual.cached_outputs.all_logits()) == ROWS
    want = alone(inputs).cached_outputs
    assert want is not None
    assert [len(b[0]) for b in want.chunks()] == [len(b[0]) for b in actual.cached_outputs.chunks()]
    taken = leases(two_slots)
    helped = [job for job in taken if job.startswith("record.")]
    assert helped
    assert {taken[job] for job in helped} != {taken["teacher"]}


@pytest.mark.slow
def test_a_killed_helper_loses_nothing(own_slots: Bench, inputs: TaskInputs) -> None:
    bench = own_slots
    before = set(worker_pids())
    wait_for_slots(bench, 2)
    other = replace(inputs, fingerprint="killed")
    ref = ray.put(other)
    job = unread(PrepareJob(inputs=(ref,), files="/nowhere/draft"))
    answer(bench.coordinator.submit.remote("teacher", job, 1))
    while not any(job.startswith("record.") for job in leases(bench)):
        time.sleep(0.05)
    helper = {slot for job, slot in leases(bench).items() if job.startswith("record.")}
    pids = [pid for pid in worker_pids() if pid not in before]
    assert len(pids) >= 2
    os.kill(pids[max(helper) % len(pids)], signal.SIGKILL)
    end = bench.events("teacher")[-1]
    assert end["kind"] == "done", end
    made = ray.get(end["result"][0])
    blocks = ray.get([block.ref for block in end["blocks"]])
    assert sum(len(b[0]) for b in blocks) == ROWS
    assert made.rows == ROWS + sum(len(other.teacher_splits[r]) for r in ("validation", "test"))


@pytest.mark.slow
def test_a_teacher_whose_slot_is_killed_while_it_records_is_not_fine_tuned_again(
    own_slots: Bench, inputs: TaskInputs, tmp_path: Path
) -> None:
    bench = own_slots
    before = set(worker_pids())
    wait_for_slots(bench, 2)
    ref = ray.put(replace(inputs, fingerprint="killed after"))
    job = unread(PrepareJob(inputs=(ref,), files=str(tmp_path / "draft")))
    answer(bench.coordinator.submit.remote("teacher", job, 1))
    while "record" not in [e.get("phase") for e in so_far(bench, "teacher")]:
        time.sleep(0.02)
    for pid in set(worker_pids()) - before:
        os.kill(pid, signal.SIGKILL)
    events = bench.events("teacher")
    assert events[-1]["kind"] == "done", events[-1]
    assert events[-1]["lease"]["attempt"] == 2
    tuned = {e["lease"]["attempt"] for e in events if e.get("phase") == "finetune"}
    assert tuned == {1}
    made = ray.get(events[-1]["result"][0])
    assert made.history
    assert made.state is not None
    alone_state = prepare(inputs, DistributedContext(), lambda *progress: None)
    assert alone_state is not None
    assert digest_of(made.state.tensors) == digest_of(alone_state[1].tensors)


@pytest.mark.slow
def test_weights_of_a_file_reach_nodes_that_do_not_reach_the_file(
    cluster: None, inputs: TaskInputs, tmp_path: Path
) -> None:
    before = weights.move_to(weights.capture(inputs.teacher.build(0)), tmp_path / "teacher")
    teacher = replace(inputs.teacher, state=before, random_init=None)
    given = replace(inputs, teacher=teacher, student=teacher)
    assert Spreading(needed=False).inputs(given).teacher.state.tensors is before.tensors
    spread = Spreading(needed=True).inputs(given)
    ref = ray.put(spread)
    wanted = digest_of(before.tensors)
    # Both models have the same weights, which are one object, read next to the driver.
    assert len({spread.teacher.state.tensors._ref, spread.student.state.tensors._ref}) == 1
    assert len(pickle.dumps(ray.get(ref).teacher.state.tensors)) < 20_000
    ray.wait([spread.teacher.state.tensors._ref])
    shutil.rmtree(tmp_path / "teacher")

    @ray.remote(num_cpus=0)
    def read(actual: TaskInputs) -> str:
        actual.teacher.frozen()
        return digest_of(actual.teacher.state.tensors)

    assert ray.get(read.remote(ref)) == wanted


def test_nodes_are_asked_which_number_formats_they_have(cluster: None) -> None:
    actual = nodes.alive()
    assert node_capabilities._bf16_of(actual, "cpu") == [has_bf16(torch.device("cpu"))] * len(
        actual
    )


@ray.remote(num_cpus=0)
class Owner:
    """Publishes a teacher, so that it is lost with this process."""

    def publish(self, prepared: PreparedTask) -> object_store.TeacherHandle:
        return object_store.publish(prepared, registry.load("tasks", prepared.task))


@pytest.mark.slow
def test_a_teacher_whose_owner_died_is_published_again_and_the_trial_continues(
    bench: Bench, prepared: PreparedTask, cache_folder: Path
) -> None:
    lost = replace(prepared, fingerprint="lost")
    owner: Any = Owner.remote()  # type: ignore[attr-defined]
    handle = ray.get(owner.publish.remote(lost))
    publish(bench.coordinator, handle)
    ray.kill(owner)
    time.sleep(1.0)
    job = Bench(bench.coordinator, handle).submit(trial_config())
    reported: list[dict[str, Any]] = []
    while not reported:
        notifications = answer(bench.coordinator.notifications.remote(0, 1.0))
        reported = [n for n in notifications if n["kind"] == "lost"]
        time.sleep(0.05)
    assert (reported[0]["key"], reported[0]["version"]) == ("lost", 0)
    _, kept, cached = prepare_task(tiny_spec(), TASK, cache_folder, lambda *progress: None)
    assert cached
    again = object_store.publish(replace(kept, fingerprint="lost"), handle.task, version=1)
    assert again.checksum == handle.checksum == object_store.checksum_of(lost)
    publish(bench.coordinator, again)
    assert bench.events(job)[-1]["kind"] == "done"


@pytest.mark.slow
def test_the_driver_publishes_a_lost_teacher_from_the_cache(
    bench: Bench, prepared: PreparedTask, cache_folder: Path, tmp_path: Path
) -> None:
    spec = tiny_spec()
    setups = {TASK: set_up_task(spec, TASK)}
    run = run_folder.create(tmp_path, spec, "", "", "")
    log = EventLog(run / "events.jsonl", lambda event: None)
    cache, _ = open_cache(cache_folder)
    teachers = TeacherProvider(
        setups, lambda setup: plan_teacher(spec, setup, 1 << 30), spec.resources.max_failures,
        bench.coordinator, log, run, cache, 1 << 40,
    )  # fmt: skip
    teachers.request()
    first = teachers.wait(TASK)
    assert first is not None
    teachers.republish(first.fingerprint, first.version)
    second = read(answer(bench.coordinator.read.remote(first.fingerprint)))
    assert (first.version, second.version) == (0, 1)
    assert second.checksum == first.checksum
    assert not set(first.refs) & set(second.refs)
    assert "published again" in (run / "events.jsonl").read_text()
    assert Bench(bench.coordinator, second).run(trial_config())[-1]["kind"] == "done"
    teachers.release(TASK)
    with pytest.raises(ray.exceptions.RayTaskError, match="KeyError"):
        answer(bench.coordinator.read.remote(first.fingerprint))
