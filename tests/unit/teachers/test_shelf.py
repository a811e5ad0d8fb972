from __future__ import annotations

import os

import pytest

from raykd.teachers import cache, shelf
from tests.unit.teachers import tiny


@pytest.fixture
def filled(tmp_path):
    """Three entries, used one after the other."""
    from dataclasses import replace

    prepared, state = tiny.ready()
    for age, name in enumerate(("new", "middle", "old")):
        cache.store(tmp_path, replace(prepared, fingerprint=name), state)
        os.utime(tmp_path / name / shelf.ABOUT, (1e9 - age, 1e9 - age))
    (tmp_path / "something" / "else").mkdir(parents=True)
    return tmp_path


def test_entries_are_listed_the_one_used_last_first(filled):
    found = shelf.entries(filled)
    assert [entry.folder.name for entry in found] == ["new", "middle", "old"]
    assert {entry.task for entry in found} == {tiny.TASK}
    assert found[0].metrics == tiny.ready()[0].metrics
    files = (p for p in (filled / "new").rglob("*") if p.is_file())
    assert found[0].nbytes == sum(p.stat().st_size for p in files)


def test_reading_an_entry_is_using_it(filled):
    assert cache.load(filled, "old") is not None
    assert shelf.entries(filled)[0].folder.name == "old"


def test_pruning_takes_what_was_not_used_for_longest(filled):
    size = shelf.entries(filled)[0].nbytes
    gone = shelf.prune(filled, int(2.5 * size))
    assert [entry.folder.name for entry in gone] == ["old"]
    assert not (filled / "old").exists()
    assert cache.load(filled, "new") is not None
    assert (filled / "something").exists()
    assert len(shelf.prune(filled, 0)) == 2


def test_an_entry_that_cannot_be_read_is_passed_over(filled):
    (filled / "middle" / shelf.ABOUT).write_text("{")
    assert [e.folder.name for e in shelf.entries(filled)] == ["new", "old"]


def test_an_absent_cache_is_empty(tmp_path):
    assert shelf.entries(tmp_path / "absent") == ()


def test_what_is_needed_now_is_spared(filled):
    gone = shelf.prune(filled, 0, spare={"old"})
    assert {entry.folder.name for entry in gone} == {"new", "middle"}
    assert cache.load(filled, "old") is not None


def test_the_most_similar_entry_says_what_differs(tmp_path):
    from dataclasses import replace

    prepared, state = tiny.ready()
    kept = {"one": {"rows": "a", "teacher": "b"}, "two": {"rows": "a", "teacher": "x"}}
    for name, identity in kept.items():
        cache.store(tmp_path, replace(prepared, fingerprint=name), state, identity=identity)
    wanted = {"rows": "c", "teacher": "x"}
    assert shelf.differences(tmp_path, tiny.TASK, wanted) == ("rows",)
    assert shelf.differences(tmp_path, "glue/rte", wanted) == ()
