"""Derived teachers in slots: made once for all trials that choose the same."""

import numpy as np
import pytest

from raykd import registry
from raykd.spec.load import spec_from_dict
from raykd.sweep.in_process import prepare_task, run_in_process
from raykd.teachers import object_store
from raykd.teachers.prepared_task import PreparedTask
from raykd.trial.coordinator import answer
from raykd.trial.follow import follow
from tests.integration.conftest import TASK, Bench, publish, tiny_spec, trial_config

METHOD = "tests.integration.scaled_teacher"


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> PreparedTask:
    arm = {"name": "scaled", "method": METHOD, "fixed": {"factor": 2.0}}
    spec = tiny_spec(methods={"none": {"name": "none", "method": "none"}, "scaled": arm})
    folder = tmp_path_factory.mktemp("cache")
    return prepare_task(spec_from_dict(spec.as_dict()), TASK, folder, lambda *p: None)[1]


@pytest.fixture(scope="module")
def own_teacher(two_slots: Bench, scaled: PreparedTask) -> Bench:
    handle = object_store.publish(scaled, registry.load("tasks", scaled.task))
    publish(two_slots.coordinator, handle)
    return Bench(two_slots.coordinator, handle)


def config(factor: float, name: str):
    return trial_config(
        method=METHOD, coefficients={"factor": factor}, trial_id=name, seed=5
    )  # fmt: skip


def reported(bench: Bench) -> list[dict]:
    notifications = answer(bench.coordinator.notifications.remote(0, 0.0))
    return [n for n in notifications if n["kind"] == "derived_teacher"]


@pytest.mark.slow
def test_trials_with_the_same_choice_share_one_teacher(
    own_teacher: Bench, scaled: PreparedTask
) -> None:
    bench = own_teacher
    chosen = {"a": 2.0, "b": 2.0, "c": 3.0, "d": 2.0}
    jobs = {bench.submit(config(f, name)): name for name, f in chosen.items()}
    ends: dict[str, dict] = {}

    def note(job: str, event: dict) -> None:
        ends[jobs[job]] = event

    follow(bench.coordinator, list(jobs), note)
    assert {end["kind"] for end in ends.values()} == {"done"}, ends
    assert ends["a"]["metrics"] == ends["b"]["metrics"] == ends["d"]["metrics"]
    seen = reported(bench)
    assert {n["trial_id"]: n["key"] for n in seen} == {
        "a": "x2", "b": "x2", "c": "x3", "d": "x2",
    }  # fmt: skip
    rows = len(scaled.splits["train"])
    for key in ("x2", "x3"):
        made = [n for n in seen if n["key"] == key and n["made"]]
        assert [n["rows"] for n in made] == [rows]
    task = registry.load("tasks", TASK)
    local = run_in_process(config(3.0, "local"), scaled, task, lambda evaluation: None)
    # This process may have as many threads as there are cores, the slot has one.
    terms = dict(local.evaluation.terms)
    assert ends["c"]["evaluation"]["terms"] == pytest.approx(terms, rel=1e-6)
    assert np.isclose(ends["c"]["metrics"]["accuracy"], local.metrics["accuracy"])


def test_the_local_form_needs_no_coordinator(scaled: PreparedTask) -> None:
    task = registry.load("tasks", TASK)
    outcome = run_in_process(config(2.0, "alone"), scaled, task, lambda evaluation: None)
    assert outcome.metrics["accuracy"] >= 0
