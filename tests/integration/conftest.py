"""One local Ray cluster, one prepared task and one coordinator with slots, shared by all tests
here.

What costs time is the start of Ray and of slots. Tests that need a second slot, several ranks or
more nodes therefore run after those that rely on one slot alone, and add to what there is.
"""

import contextlib
import io
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray

from raykd import registry
from raykd.cli.main import main
from raykd.clusters.connection import connected
from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import prepare_task
from raykd.teachers import object_store
from raykd.teachers.prepared_task import PreparedTask
from raykd.trial.coordinator import answer, start_coordinator
from raykd.trial.follow import follow
from raykd.trial.run import TrialConfig
from raykd.trial.slot_pool import SlotPool, SlotShape
from raykd.trial.unread import unread
from raykd.trial.worker import TrialJob

TASK = "toy/sentiment"
CPUS = 2
"""Of the shared cluster, on any machine."""

NOTICED_SOON = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "4"}
"""A node that is killed counts as lost after 2 s; one that is only slow has its usual time."""

LATE = ("two_slots", "two_ranks", "more_nodes")
"""Fixtures that add to the shared cluster, in the order in which their tests come."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that add to the shared cluster behind the others, in the places they have."""

    def late(item: pytest.Item) -> int:
        names = getattr(item, "fixturenames", ())
        return max((1 + k for k, name in enumerate(LATE) if name in names), default=0)

    own = [k for k, item in enumerate(items) if item.nodeid.startswith("tests/integration/")]
    for place, item in zip(own, sorted((items[k] for k in own), key=late), strict=True):
        items[place] = item


def tiny_spec(**changes: Any) -> SweepSpec:
    """A sweep of seconds: generated text, a teacher 1x32, students 1x16."""
    shape = {"family": "bert", "heads": 2, "layers": 1, "vocabulary": 400, "max_positions": 64}
    plain: dict[str, Any] = {
        "name": "tiny",
        "tasks": [TASK],
        "data": {
            "limit": 240, "max_length": 32, "student_rows": 96,
            "select_on": {"split": "validation"}, "report_on": {"split": "test"},
        },
        "teacher": {"model": {**shape, "hidden": 32}, "finetune": {"epochs": 2, "lr": 3e-3}},
        "student": {"model": {**shape, "hidden": 16}},
        "train": {
            "fixed": {"epochs": 3, "batch_size": 32, "precision": "fp32"},
            "domains": {"lr": {"kind": "loguniform", "low": 1e-4, "high": 1e-2}},
        },
        "methods": {
            "none": {"name": "none", "method": "none"},
            "kd": {
                "name": "kd", "method": "kd",
                "domains": {"alpha": {"kind": "uniform", "low": 0.1, "high": 0.9}},
            },
        },
        "search": {"trials": 4, "algorithm": {"name": "random"}},
        "confirm": {"seeds": [1, 2]},
    }  # fmt: skip
    return spec_from_dict({**plain, **changes})


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_OVERRIDE_RESOURCES", f'{{"CPU": {CPUS}}}')
            for name, value in NOTICED_SOON.items():
                patch.setenv(name, value)
            stack.enter_context(connected(None))
        yield


@pytest.fixture(scope="session")
def cache_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def prepared(cache_folder: Path) -> PreparedTask:
    return prepare_task(tiny_spec(), TASK, cache_folder, lambda *progress: None)[1]


@dataclass
class Bench:
    """A coordinator with slots, and the means to run trials on it."""

    coordinator: Any
    handle: object_store.TeacherHandle
    pool: SlotPool | None = None

    def submit(self, config: TrialConfig, max_failures: int = 0) -> str:
        job = f"{config.trial_id}-{uuid.uuid4().hex[:6]}"
        payload = unread(TrialJob(config=config, key=self.handle.fingerprint))
        answer(self.coordinator.submit.remote(job, payload, max_failures))
        return job

    def events(self, job: str) -> list[dict[str, Any]]:
        actual: list[dict[str, Any]] = []
        follow(self.coordinator, [job], lambda _, event: actual.append(dict(event)))
        return actual

    def run(self, config: TrialConfig, max_failures: int = 0) -> list[dict[str, Any]]:
        return self.events(self.submit(config, max_failures))


def publish(coordinator: Any, handle: object_store.TeacherHandle) -> None:
    answer(coordinator.publish.remote(handle.fingerprint, unread(handle)))


def open_bench(
    prepared: PreparedTask, workers: int, folder: Path, slots: int = 1
) -> Iterator[Bench]:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    namespace = ray.get_runtime_context().namespace
    coordinator = start_coordinator(name, namespace)
    shape = SlotShape(workers=workers, cpus=0.01, gpus=0.0)  # sweeps take the other CPUs
    pool = SlotPool(coordinator, name, namespace, shape, None, str(folder))
    pool.start(range(slots))
    handle = object_store.publish(prepared, registry.load("tasks", prepared.task))
    publish(coordinator, handle)
    yield Bench(coordinator, handle, pool)
    pool.close()
    ray.kill(coordinator)


@pytest.fixture(scope="session")
def bench(
    cluster: None, prepared: PreparedTask, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    yield from open_bench(prepared, 1, tmp_path_factory.mktemp("slots"))


@pytest.fixture(scope="session")
def two_slots(bench: Bench) -> Bench:
    """The shared coordinator with a second slot."""
    assert bench.pool is not None
    bench.pool.start([1])
    return bench


@pytest.fixture(scope="session")
def two_ranks(
    cluster: None, prepared: PreparedTask, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    yield from open_bench(prepared, 2, tmp_path_factory.mktemp("ranks"))


def trial_config(**changes: Any) -> TrialConfig:
    plain: dict[str, Any] = {
        "trial_id": "toy-sentiment.kd.s000",
        "task": TASK,
        "arm": "kd",
        "method": "kd",
        "number": 0,
        "stage": "search",
        "coefficients": {"alpha": 0.7},
        "train": {"epochs": 2, "batch_size": 32, "lr": 3e-3, "precision": "fp32"},
        "seed": 5,
    }
    return TrialConfig(**{**plain, **changes})


def run_here(*arguments: str, cache: Path) -> tuple[int, str]:
    """Run a command in this process, on the cluster that it is connected to.

    Returns:
        The exit code, and what was written to stderr.
    """
    out, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        patch.setenv("RAYKD_CACHE", str(cache))
        code = main([*arguments, "--format", "json"])
    return code, errors.getvalue()
