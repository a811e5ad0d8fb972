"""Disks of a sweep: what teachers take is reported first, and that little is left, once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raykd.results.event_log import EventLog
from raykd.sweep import disk_watch, teacher_provider
from raykd.sweep.disk_watch import DiskWatch
from raykd.sweep.teacher_provider import TeacherProvider
from raykd.teachers.teacher_cache import TeacherCache

MIB, GIB = 2**20, 2**30


@pytest.fixture
def disk(monkeypatch, tmp_path):
    """The figures of the disk that everything is on, which a test changes."""
    figures = SimpleNamespace(free=100 * GIB, total=1000 * GIB)
    monkeypatch.setattr(disk_watch.shutil, "disk_usage", lambda path: figures)
    monkeypatch.setattr(disk_watch, "LOOK_S", 0.0)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "spill"))
    return figures


@pytest.fixture
def apart(monkeypatch):
    """Every place is on a disk of its own."""
    monkeypatch.setattr(disk_watch, "_disk_of", lambda place: place)


def watch(tmp_path, said, cache=True, store=GIB):
    kept = TeacherCache(tmp_path / "cache" if cache else None)
    return DiskWatch(tmp_path / "run", kept, store, said.append)


def work(outputs, parameters=0, name="a", task="t", cached=False, given=False):
    """A teacher, how much it takes, and whether the cache has it or it is no model at all."""
    inputs = SimpleNamespace(
        teacher=SimpleNamespace(parameters=lambda: parameters),
        task=SimpleNamespace(name=task),
        fingerprint=f"{task} {name}",
        finetune=object() if parameters else None,
        given=None,
    )
    parts = {} if given else {"scores/test": f"{task} 1", "recorded/logits": f"{task} 2"}
    wanted = [*(["weights"] if parameters else []), *parts]
    return SimpleNamespace(
        plan=SimpleNamespace(
            inputs=inputs, nbytes=outputs, keys=SimpleNamespace(teacher=name, parts=parts)
        ),
        lookup=SimpleNamespace(missing=() if cached or given else tuple(wanted)),
    )


def test_what_teachers_take_is_reported_where_it_is_much(disk, apart, tmp_path):
    said = []
    seen = watch(tmp_path, said)
    seen.look()
    assert not said
    seen.count([
        work(outputs=20 * GIB, parameters=GIB // 2), work(outputs=10 * GIB, name="b", task="u")
    ])  # fmt: skip
    seen.look()
    spill, cache = said
    assert cache.startswith("it needs at most 32.0 GiB of disk for the cache of teachers; 100.0")
    assert spill.startswith("it needs at most 19.0 GiB of disk for outputs that Ray spills; 100.0")
    seen.count([work(outputs=90 * GIB, name="c")])
    seen.look()
    assert len(said) == 2


def test_of_a_cached_teacher_only_what_ray_spills_is_counted(disk, tmp_path):
    said = []
    seen = watch(tmp_path, said)
    seen.count([work(outputs=20 * GIB, parameters=5 * GIB, cached=True)])
    seen.look()
    (message,) = said
    assert "19.0 GiB of disk for outputs that Ray spills" in message


def test_what_teachers_share_is_counted_once(disk, tmp_path):
    said = []
    seen = watch(tmp_path, said, store=1000 * GIB)
    one = work(outputs=10 * GIB, parameters=GIB // 4)
    seen.count([one, work(outputs=10 * GIB, parameters=GIB // 4)])
    seen.count([work(outputs=10 * GIB, parameters=GIB // 4, task="u")])
    seen.look()
    (message,) = said
    assert message.startswith("it needs at most 21.0 GiB of disk for the cache of teachers")


def test_a_combination_takes_room_in_the_store_alone_with_those_it_combines(disk, apart, tmp_path):
    said = []
    seen = watch(tmp_path, said)
    seen.count([work(outputs=4 * GIB), work(outputs=4 * GIB, name="b")])
    seen.look()
    assert not said
    seen.count([work(outputs=4 * GIB, name="both", given=True)])
    seen.look()
    (message,) = said
    assert message.startswith("it needs at most 11.0 GiB of disk for outputs that Ray spills")


def test_what_is_missing_of_a_teacher_is_reported_when_it_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(teacher_provider.nodes, "alive", lambda: ())
    plan = work(outputs=GIB, parameters=1).plan
    tokenizers, teacher = SimpleNamespace(teacher=None), SimpleNamespace(members=())
    setup = SimpleNamespace(
        task=plan.inputs.task, spec=SimpleNamespace(teacher=teacher), tokenizers=tokenizers
    )
    log = EventLog(tmp_path / "events.jsonl", lambda event: None)
    cache, other = (TeacherCache(tmp_path / "cache") for _ in range(2))
    teachers = TeacherProvider(
        {"t": setup}, lambda of: plan, 0, None, log, tmp_path, cache, GIB
    )  # fmt: skip
    told = []
    teachers.when_known = told.extend
    assert other.claim(plan.keys)  # nothing is made here
    teachers.request()
    (one,) = told
    assert one.lookup.missing == ("weights", "scores/test", "recorded/logits")
    other.close()
    teachers.close()


def test_a_disk_that_is_nearly_full_is_named_once(disk, apart, tmp_path):
    said = []
    seen = watch(tmp_path, said)
    seen.look()
    disk.free = 3 * GIB
    seen.look()
    assert not said
    disk.free = GIB
    for _ in range(3):
        seen.look()
    assert len(said) == 3
    assert said[0].startswith("the disk of the run folder is nearly full: 1.0 GiB are free in ")
    assert all("raykd sweep --resume" in message for message in said)


def test_a_small_disk_is_no_full_one(disk, tmp_path):
    said = []
    disk.free, disk.total = 300 * MIB, 4 * GIB
    watch(tmp_path, said, cache=False).look()
    assert not said


def test_it_is_looked_now_and_then(disk, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(disk_watch, "LOOK_S", 60.0)
    disk.free = MIB
    seen = watch(tmp_path, said)
    seen.look()
    assert not said


def test_the_disk_of_what_ray_spills_is_the_one_that_it_writes_to(
    disk, apart, tmp_path, monkeypatch
):
    said = []
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    disk.free = GIB
    watch(tmp_path, said).look()
    (spill,) = [message for message in said if "outputs that Ray spills" in message]
    assert f"are free in {tmp_path / 't'};" in spill


def test_places_on_one_disk_are_one_note_and_needs_add_up(disk, tmp_path):
    said = []
    seen = watch(tmp_path, said)
    seen.count([work(outputs=6 * GIB, cached=False)])
    seen.look()
    (message,) = said
    assert message.startswith(
        "it needs at most 11.0 GiB of disk for outputs that Ray spills and the cache of teachers; "
    )
    said.clear()
    disk.free = GIB
    for _ in range(3):
        seen.look()
    (message,) = said
    assert message.startswith(
        "the disk of the run folder and of outputs that Ray spills and of the cache of teachers is "
        "nearly full: 1.0 GiB are free in "
    )
