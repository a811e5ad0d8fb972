"""Disks of a sweep: what teachers take is said first, and that little is left, once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raykd.sweep import disk_watch
from raykd.sweep.disk_watch import DiskWatch

MIB, GIB = 2**20, 2**30


@pytest.fixture
def disk(monkeypatch, tmp_path):
    """The figures of the disk that everything is on, which a test changes."""
    figures = SimpleNamespace(free=100 * GIB, total=1000 * GIB)
    monkeypatch.setattr(disk_watch.shutil, "disk_usage", lambda path: figures)
    monkeypatch.setattr(disk_watch, "LOOK_S", 0.0)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "spill"))
    return figures


def watch(tmp_path, said, cache=True, store=GIB):
    return DiskWatch(tmp_path / "run", tmp_path / "cache" if cache else None, store, said.append)


def plan(outputs, parameters=0):
    teacher = SimpleNamespace(parameters=lambda: parameters)
    inputs = SimpleNamespace(finetune=object() if parameters else None, teacher=teacher)
    return SimpleNamespace(inputs=inputs, nbytes=outputs)


def test_what_teachers_take_is_said_where_it_is_much(disk, tmp_path):
    said = []
    seen = watch(tmp_path, said)
    seen.count(plan(outputs=20 * GIB, parameters=GIB // 2))
    seen.count(plan(outputs=10 * GIB))
    seen.look()
    cache, spill = said
    assert cache.startswith("it needs at most 32.0 GiB of disk for the cache of teachers; 100.0")
    assert spill.startswith("it needs at most 19.0 GiB of disk for outputs that Ray spills; 100.0")
    disk.free = 900 * GIB
    seen.look()
    assert len(said) == 2


def test_a_disk_that_is_nearly_full_is_named_once(disk, tmp_path):
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


def test_the_disk_of_what_ray_spills_is_the_one_that_it_writes_to(disk, tmp_path, monkeypatch):
    said = []
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    disk.free = GIB
    watch(tmp_path, said).look()
    (spill,) = [message for message in said if "what Ray spills" in message]
    assert f"are free in {tmp_path / 't'};" in spill
