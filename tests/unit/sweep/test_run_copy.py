"""A run folder in a store: whatever cuts the copying, what is fetched is resumed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raykd.errors import SetupError
from raykd.results.records import Status
from raykd.results.run_copy import MOMENT, RunCopy, fetch
from raykd.results.run_store import RunStore
from raykd.results.store import load_results, write_trials
from raykd.results.student_mark import mark
from raykd.sweep import run_folder
from raykd.sweep.arm_studies import confirm_trial
from raykd.sweep.resume import finished_confirmations
from tests.unit.sweep.specs import spec
from tests.unit.sweep.test_resume import Driver
from tests.unit.sweep.test_torn_files import agree, one_run, resumed

WHOLE, ADAPTER = "model.safetensors", "adapter_model.safetensors"


class Cut(Exception):
    """The machine is gone."""


class Cutter:
    """Counts the changes of a store, and cuts before one of them."""

    def __init__(self, before=None):
        self.before, self.count = before, 0

    def __call__(self):
        if self.count == self.before:
            raise Cut
        self.count += 1


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return one_run(tmp_path_factory.mktemp("made") / "runs")


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "here" / made.name))


@pytest.fixture
def store(run, tmp_path):
    return RunStore(f"file://{tmp_path}/store/{run.name}")


def fetched(store, run, name="there"):
    folder = run.parents[1] / name / run.name
    fetch(store, folder)
    return folder


def contents(run):
    return {
        str(p.relative_to(run)): p.read_bytes()
        for p in sorted(run.rglob("*"))
        if p.is_file() and p.name not in ("lock", "studies.journal.lock")
    }


def test_a_run_that_was_fetched_is_the_run_to_the_byte(store, run):
    (run / "ray").mkdir()
    (run / "ray" / "of-ray").write_text("nobody reads it")
    (run / "env.json.17.part").write_text("half writ")
    RunCopy(store, run, {}).copy()
    there = fetched(store, run)
    shutil.rmtree(run / "ray")
    (run / "env.json.17.part").unlink()
    assert contents(there) == contents(run)
    assert load_results(there) == load_results(run)


def go_on(run):
    """What a sweep may do between two copies: everything that is copied changes."""
    driver = Driver(run, spec())
    (run / "state" / "old.safetensors").unlink()
    done = driver.start("kd")
    driver.arms["kd"].study.report("kd", 1.0, 0.8)
    driver.record(done, Status.COMPLETED, accuracy=0.8)
    driver.arms["kd"].study.complete("kd", [0.8])
    Path(driver.start("kd").state_path).write_text("a new state")
    best = confirm_trial(spec(), run, driver.arm_study("kd"), 0, 1, {"alpha": 0.7})
    driver.begin(best)
    shutil.rmtree(best.save_path)
    student(best, 2.0)
    driver.record(best, Status.COMPLETED, accuracy=0.9)
    run_folder.write_resumption(run, spec(search__trials=12), "raykd sweep --resume", {}, {})
    write_trials(run, load_results(run).trials)


def student(config, value):
    folder = Path(config.save_path)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    save_file({"weight": torch.full((64,), value)}, folder / ADAPTER)
    mark(folder, config.trial_id, {**config.coefficients, **config.train})


@pytest.fixture
def copied(store, run):
    """A run that is in the store, and changed since; what the store is known to have."""
    (run / "state" / "old.safetensors").write_text("a state")
    copy = RunCopy(store, run, {})
    copy.copy()
    go_on(run)
    return copy.known


def of_a_moment(run):
    names = (
        "events.jsonl",
        "studies.journal",
        *(f"samplers/{p}" for p in os.listdir(run / "samplers")),
    )
    return tuple((name, (run / name).read_bytes()) for name in sorted(names))


def weights_of_students_on_record(run):
    """Of those that are not trained again: what alpha they are of, and their weights."""
    trials = {t.trial_id: t for t in load_results(run).trials}
    for trial_id, params in finished_confirmations(run).items():
        if folder := trials[trial_id].checkpoint:
            files = [run / folder / name for name in (WHOLE, ADAPTER)]  # as they are looked for
            weights = load_file(next(file for file in files if file.exists()))["weight"]
            yield params["alpha"], float(weights[0])


def test_a_copy_that_is_cut_anywhere_is_resumed(store, run, copied):
    place = Path(store.address.removeprefix("file://"))
    before = Path(shutil.copytree(place, run.parents[1] / "before"))
    moments, cut, is_whole = {}, 0, False
    while not is_whole:
        shutil.rmtree(place)
        shutil.copytree(before, place)
        with contextlib.suppress(Cut):
            RunCopy(store, run, dict(copied), Cutter(cut)).copy()
            is_whole = True
        there = fetched(store, run, f"cut-{cut}")
        run_folder.reopen(there)
        # The old one of the old configuration, the new one of the new one, or none.
        assert set(weights_of_students_on_record(there)) <= {(0.3, 1.0), (0.7, 2.0)}
        moments[of_a_moment(there)] = there
        # While a trial counts as running, its state is there.
        assert (there / "state" / "old.safetensors").exists() or len(moments) == 2
        cut += 1
    assert cut > 12
    assert contents(there) == contents(run)
    assert len(moments) == 2
    for there in moments.values():
        notes, trials = resumed(there)
        assert not notes
        agree(there, trials)


def test_a_first_copy_that_is_cut_is_no_run_or_a_whole_one(store, run):
    cut, is_whole = 0, False
    while not is_whole:
        with contextlib.suppress(Cut):
            RunCopy(store, run, {}, Cutter(cut)).copy()
            is_whole = True
        if store.changed("events.jsonl") is None:
            with pytest.raises(SetupError, match="there is no run at file://"):
                fetched(store, run)
        else:
            assert load_results(fetched(store, run)).trials == load_results(run).trials
        cut += 1
    assert cut > 5


def test_what_did_not_change_is_not_copied_again(store, run):
    copy = RunCopy(store, run, {})
    copy.copy()
    counted = Cutter()
    copy = RunCopy(store, run, copy.known, counted)
    copy.copy()
    assert counted.count == 1  # a new driver writes how far it is
    copy.copy()
    assert counted.count == 1
    Driver(run, spec()).start("kd")
    copy.copy()
    assert counted.count == 4  # studies, log, and how far they are


def test_what_is_appended_while_it_is_copied_waits_for_the_next_time(store, run):
    driver = Driver(run, spec())
    before = of_a_moment(run)
    RunCopy(store, run, {}, lambda: driver.log.emit("note", message="meanwhile")).copy()
    assert of_a_moment(fetched(store, run)) == before


def test_what_the_store_holds_besides_goes(store, run):
    store.write("state/stray.safetensors", b"of a driver that was cut")
    copy = RunCopy(store, run, {})
    copy.look()
    copy.copy()
    assert "state/stray.safetensors" not in store.listed()
    assert contents(fetched(store, run)) == contents(run)


def test_a_folder_that_is_behind_becomes_that_of_the_store(store, run, copied):
    there = fetched(store, run)
    behind = contents(there)
    (there / "state" / "of-this-machine.safetensors").write_text("old")
    (there / "samplers" / "stale.json").write_text("{}")
    RunCopy(store, run, copied).copy()
    fetch(store, there)
    assert contents(there) == contents(run) != behind


def test_records_are_fetched_without_students_and_states(store, run, copied):
    RunCopy(store, run, copied).copy()
    folder = run.parents[1] / "records" / run.name
    fetch(store, folder, without=("checkpoints", "state"))
    assert load_results(folder).trials == load_results(run).trials
    assert not any((folder / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "wrong", [b"", b"[1]", b'{"appended": 3}', b"\x89PNG", b'{"files": {"a": []}}']
)
def test_a_moment_that_is_cut_or_foreign_is_left_out(store, run, wrong):
    RunCopy(store, run, {}).copy()
    store.write(MOMENT, wrong)
    assert load_results(fetched(store, run)).trials == load_results(run).trials


def test_names_that_lead_out_of_the_folder_are_not_written(store, run):
    RunCopy(store, run, {}).copy()
    files = {"../out.json": "x", "samplers/../../out.json": "x", "env.json": "{}"}
    store.write(MOMENT, json.dumps({"appended": {"../x": 1}, "files": files}).encode())
    there = fetched(store, run)
    assert not list(there.parent.glob("*.json"))
    assert (there / "env.json").read_bytes() == (run / "env.json").read_bytes()
