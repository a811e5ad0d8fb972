"""A run in a store: who holds it, what is copied when, and what if the store does not answer."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from raykd.errors import SetupError, SpecError
from raykd.results.event_log import EventLog
from raykd.results.run_store import RunStore
from raykd.results.store import load_results
from raykd.results.store_lease import LEASE, LeaseLost, StoreLease
from raykd.sweep import run_folder
from raykd.sweep.mirror import Mirror
from raykd.sweep.working_copy import to_read, working_folder
from tests.unit.sweep.specs import spec


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """This machine; copies come when there is something to copy."""
    monkeypatch.setenv("RAYKD_RUNS", str(tmp_path / "here"))
    monkeypatch.setenv("RAYKD_MIRROR_S", "30")


@pytest.fixture
def place(tmp_path):
    return f"file://{tmp_path}/store/runs"


def mirror_of(address, notes=None, **changes):
    notes = [] if notes is None else notes
    return Mirror(address, notes.append, settle_s=0.0, **changes)


def begun(mirror):
    """A sweep begins in its folder; returns run and log."""
    run = run_folder.create(mirror.folder, spec(), "", "", "none")
    log = EventLog(run / "events.jsonl", mirror.handle)
    log.emit("sweep_started", folder=str(run), name="tiny")
    return run, log


def one_run(place):
    """A run that began and ended; its address."""
    with mirror_of(place, is_run=False) as mirror, mirror.copying():
        run, log = begun(mirror)
        log.emit("sweep_finished", status="interrupted")
        return mirror.address_of(run)


def elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("RAYKD_RUNS", str(tmp_path / "elsewhere"))


def until(holds):
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


def log_of(address):
    return (RunStore(address).read("events.jsonl") or b"").decode()


def test_a_run_is_continued_on_another_machine(place, tmp_path, monkeypatch):
    address = one_run(place)
    elsewhere(monkeypatch, tmp_path)
    with mirror_of(address, is_run=True) as mirror, mirror.copying():
        assert mirror.folder.is_relative_to(tmp_path / "elsewhere")
        assert run_folder.reopen(mirror.folder)[0] == spec()
        log = EventLog(mirror.folder / "events.jsonl", mirror.handle)
        log.emit("sweep_resumed", folder=str(mirror.folder))
        log.emit("note", message="of the other machine")
    monkeypatch.undo()
    assert "of the other machine" in log_of(address)


def test_the_first_copy_is_there_before_anything_is_paid_for_and_the_last_at_the_end(place):
    notes = []
    with mirror_of(place, notes, is_run=False) as mirror, mirror.copying():
        run, log = begun(mirror)
        address = mirror.address_of(run)
        assert address == f"{place}/{run.name}"
        assert "sweep_started" in log_of(address)
        log.emit("note", message="by the way")
        assert "by the way" not in log_of(address)
        log.emit("stage", stage="confirm", task="t")
        until(lambda: "confirm" in log_of(address))
        log.emit("note", message="at the end")
    assert "at the end" in log_of(address)
    assert notes == [f"the run is copied to {address} every 30 s; it is worked on in {run}"]


def test_it_is_copied_at_an_interval(place, monkeypatch):
    monkeypatch.setenv("RAYKD_MIRROR_S", "0.05")
    with mirror_of(place, is_run=False) as mirror, mirror.copying():
        run, log = begun(mirror)
        log.emit("note", message="by the way")
        until(lambda: "by the way" in log_of(mirror.address_of(run)))


def test_a_second_sweep_is_refused_while_the_first_lives(place, tmp_path, monkeypatch):
    with mirror_of(place, is_run=False) as mirror, mirror.copying():
        address = mirror.address_of(begun(mirror)[0])
        with (
            pytest.raises(SetupError, match=rf"writing to {address}: process {os.getpid()} on "),
            mirror_of(address, is_run=True),
        ):
            pass
        elsewhere(monkeypatch, tmp_path)
        with (
            pytest.raises(
                SetupError, match=f"process {os.getpid()} on .*, last heard of"
            ) as caught,
            mirror_of(address, is_run=True),
        ):
            pass
        assert "gives way after 300 s" in caught.value.hint
    with mirror_of(address, is_run=True):
        pass


def test_a_sweep_that_was_killed_is_continued_at_once_where_its_folder_is(place, monkeypatch):
    """Nothing is fetched: the folder is ahead of the store."""
    address = one_run(place)
    run = Path(mirror_of(address, is_run=True).folder)
    lease = json.loads(RunStore(address).read(LEASE))
    RunStore(address).write(LEASE, json.dumps({**lease, "held": True}).encode())
    (run / "events.jsonl").open("a").write(
        '{"event": "note", "message": "not copied", "time": 1}\n'
    )
    with mirror_of(address, is_run=True) as mirror:
        assert "not copied" in (mirror.folder / "events.jsonl").read_text()
        with mirror.copying():
            mirror.handle({"event": "sweep_resumed", "folder": str(run)})
    assert "not copied" in log_of(address)


def test_elsewhere_a_sweep_that_was_killed_gives_way_after_its_time(place, tmp_path, monkeypatch):
    address = one_run(place)
    store = RunStore(address)
    lease = json.loads(store.read(LEASE))
    elsewhere(monkeypatch, tmp_path)
    store.write(LEASE, json.dumps({**lease, "held": True, "lasts_s": 60}).encode())
    with pytest.raises(SetupError, match="last heard of"), mirror_of(address, is_run=True):
        pass
    long_ago = time.time() - 61
    os.utime(Path(address.removeprefix("file://")) / LEASE, (long_ago, long_ago))
    with mirror_of(address, is_run=True) as mirror:
        assert load_results(mirror.folder).interrupted


def test_of_two_that_begin_at_once_one_is_refused(place):
    store = RunStore(place)
    both = [StoreLease(store, 60.0, 0.3) for _ in range(2)]
    refused = []

    def take(lease):
        try:
            lease.take()
        except SetupError as exc:
            refused.append(exc)

    threads = [threading.Thread(target=take, args=(lease,)) for lease in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (why,) = refused
    assert "another sweep is writing" in why.message


def test_a_folder_of_this_machine_that_is_behind_is_left_for_that_of_the_store(
    place, tmp_path, monkeypatch
):
    address = one_run(place)
    with monkeypatch.context() as patch:
        elsewhere(patch, tmp_path)
        with mirror_of(address, is_run=True) as mirror, mirror.copying():
            log = EventLog(mirror.folder / "events.jsonl", mirror.handle)
            log.emit("sweep_resumed", folder=str(mirror.folder))
            log.emit("note", message="of the other machine")
    with mirror_of(address, is_run=True) as mirror:
        assert "of the other machine" in (mirror.folder / "events.jsonl").read_text()


def test_a_sweep_that_lost_the_run_ends_and_changes_nothing_there(place, monkeypatch):
    monkeypatch.setenv("RAYKD_MIRROR_S", "0.05")
    taken = {}

    def sweep(mirror):
        with mirror.copying():
            run, log = begun(mirror)
            store = RunStore(mirror.address_of(run))
            owner = json.loads(store.read(LEASE))["owner"]
            StoreLease(store, 60.0, 0.0).take((owner,))
            taken[store] = store.read(LEASE)
            log.emit("note", message="of one that is late")
            until(lambda: _raises(mirror.check, LeaseLost))
            mirror.check()

    with (
        pytest.raises(LeaseLost, match=r"another sweep writes to .* now: process"),
        mirror_of(place, is_run=False) as mirror,
    ):
        sweep(mirror)
    ((store, held),) = taken.items()
    assert store.read(LEASE) == held
    assert "of one that is late" not in log_of(store.address)


def _raises(call, kind):
    try:
        call()
    except kind:
        return True
    return False


@contextlib.contextmanager
def out_of_reach_after(place):
    """Yields what to call for the store to be out of reach, until the block ends.

    Root may write anywhere, so that a file is in the place of its folder.
    """
    folder = Path(place.removeprefix("file://"))
    away = folder.with_name("away")

    def goes():
        folder.rename(away)
        folder.write_text("")

    try:
        yield goes
    finally:
        folder.unlink()
        away.rename(folder)


def test_a_store_that_cannot_be_written_is_reported_at_the_start(place, tmp_path):
    (tmp_path / "store").write_text("a file")
    with (
        pytest.raises(SetupError, match=f"{place} cannot be written"),
        mirror_of(place, is_run=False),
    ):
        pass


def test_a_store_out_of_reach_is_noted_once_and_the_sweep_continues(place, monkeypatch):
    monkeypatch.setenv("RAYKD_MIRROR_S", "0.02")
    notes = []
    with mirror_of(place, notes, is_run=False) as mirror, mirror.copying():
        run, log = begun(mirror)
        with out_of_reach_after(place) as goes:
            goes()
            log.emit("note", message="by the way")
            until(lambda: len(notes) > 1)
            time.sleep(0.2)
        until(lambda: len(notes) > 2)
        assert "by the way" in log_of(mirror.address_of(run))
    assert len(notes) == 3
    assert "is not copied to its store since" in notes[1]
    assert f"the sweep continues in {run}" in notes[1]
    assert notes[2] == f"the run is copied to {mirror.address_of(run)} again"


def ends_out_of_reach(place, mirror, *, how):
    """A sweep that ends while its store is out of reach."""
    with out_of_reach_after(place) as goes, mirror.copying():
        run, log = begun(mirror)
        goes()
        log.emit("note", message=f"the last of {run}")
        if how is not None:
            raise how


def test_an_end_that_cannot_be_copied_is_an_error_that_says_where_the_run_is(place):
    with (
        mirror_of(place, is_run=False) as mirror,
        pytest.raises(SetupError, match="end of the run could not be copied") as caught,
    ):
        ends_out_of_reach(place, mirror, how=None)
    (run,) = mirror.folder.glob("tiny-*[0-9]")
    assert caught.value.exit_code == 4
    assert f"it is whole in {run}" in caught.value.hint
    address = mirror.address_of(run)
    assert "the last of" not in log_of(address)
    with mirror_of(address, is_run=True) as again, again.copying():  # copied as the hint says
        again.handle({"event": "sweep_resumed", "folder": str(again.folder)})
    assert "the last of" in log_of(address)


def test_what_ended_the_sweep_is_raised_also_where_its_end_cannot_be_copied(place):
    notes = []
    with mirror_of(place, notes, is_run=False) as mirror, pytest.raises(KeyboardInterrupt):
        ends_out_of_reach(place, mirror, how=KeyboardInterrupt())
    assert "could not be copied" in notes[-1]
    assert "it is whole in" in notes[-1]


@pytest.mark.parametrize(
    "address",
    ["s3://key:secret@bucket/runs", "s3://bucket/runs?secret_key=x", "file:///x?token=abc"],
)
def test_credentials_in_an_address_are_refused_and_not_shown(address):
    with pytest.raises(SpecError, match="holds credentials") as caught:
        mirror_of(address, is_run=False)
    assert not {"secret@", "=x", "abc"} & set(str(caught.value).split())
    assert "***" in str(caught.value)


@pytest.mark.parametrize(("address", "why"), [
    ("foo://bucket/runs", "is no address of a store"),
    ("file://", "is no address of a store|names no bucket"),
    ("s3://bucket/runs?nosuch=1", "is no address of a store"),
])  # fmt: skip
def test_an_address_that_cannot_be_understood_is_reported(address, why):
    with pytest.raises(SpecError, match=why):
        mirror_of(address, is_run=False)


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan"])
def test_an_interval_that_is_none_is_reported(place, monkeypatch, text):
    monkeypatch.setenv("RAYKD_MIRROR_S", text)
    with pytest.raises(SetupError, match=f"RAYKD_MIRROR_S must be .*, got '{text}'"):
        mirror_of(place, is_run=False)


def test_runs_of_two_stores_have_folders_of_their_own(tmp_path, monkeypatch):
    one, two = (working_folder(f"s3://bucket/runs?region={n}") for n in ("a", "b"))
    assert one != two
    assert one.name.startswith("bucket-runs-")
    monkeypatch.delenv("RAYKD_RUNS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert working_folder("s3://bucket/runs").parent == tmp_path / "cache" / "raykd" / "runs"


def test_a_run_is_read_as_it_is_there_or_here_where_a_sweep_works_on_it(
    place, tmp_path, monkeypatch
):
    with mirror_of(place, is_run=False) as mirror, mirror.copying():
        run, log = begun(mirror)
        address = mirror.address_of(run)
        log.emit("note", message="not copied yet")
        assert to_read(address, ()) == run
        with monkeypatch.context() as patch:
            elsewhere(patch, tmp_path)
            there = to_read(address, ("state",))
            assert there != run
            assert "not copied yet" not in (there / "events.jsonl").read_text()
    shutil.rmtree(run)
    assert "not copied yet" in (to_read(address, ()) / "events.jsonl").read_text()


def test_a_run_that_another_machine_began_in_the_same_second_is_left_alone(place):
    address = one_run(place)
    name = address.rpartition("/")[2]
    before = log_of(address)
    with mirror_of(place, is_run=False) as mirror:
        shutil.rmtree(mirror.folder / name)
        run = mirror.folder / name
        with pytest.raises(SetupError, match=r"there is a run at .* already"), mirror.copying():
            mirror.handle({"event": "sweep_started", "folder": str(run)})
    assert log_of(address) == before


def test_what_is_no_run_is_reported(place):
    one_run(place)
    with pytest.raises(SetupError, match=f"there is no run at {place}"):
        to_read(place, ())
