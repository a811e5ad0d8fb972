from __future__ import annotations

import os
from pathlib import Path

import pytest

from raykd.teachers import cache_index
from raykd.teachers.cache_index import ABOUT, PARTS, TeacherMetadata
from raykd.teachers.locks import CacheLocks
from raykd.teachers.teacher_cache import open_cache

IDENTITY = {"rows": "a", "teacher": "b"}
BIG, SMALL = 4000, 1000


def teacher(folder: Path, name: str, age: int, parts: tuple[str, ...] = ("x", "y")) -> Path:
    """A teacher that was used some seconds ago, with weights of 4,000 bytes and small parts."""
    entry = folder / name
    (entry / "teacher").mkdir(parents=True)
    (entry / "teacher" / "model.safetensors").write_bytes(b"0" * BIG)
    cache_index.write_metadata(
        entry, TeacherMetadata(task="t", metrics={"test/m": 0.5}, identity=IDENTITY)
    )
    for k, part in enumerate(parts):
        place = entry / PARTS / part
        place.mkdir(parents=True)
        (place / "00000.safetensors").write_bytes(b"0" * SMALL)
        cache_index.name_part(place, f"recorded/{part}")
        os.utime(place / ABOUT, (1e9 - age - k, 1e9 - age - k))
    os.utime(entry / ABOUT, (1e9 - age, 1e9 - age))
    return entry


@pytest.fixture
def filled(tmp_path):
    """Three teachers, used one after the other."""
    for age, name in enumerate(("new", "middle", "old")):
        teacher(tmp_path, name, 100 * age)
    (tmp_path / "something" / "else").mkdir(parents=True)
    return tmp_path


def names(gone) -> set[str]:
    return {kept.path.name for kept in gone}


def test_teachers_are_listed_with_their_parts_the_one_used_last_first(filled):
    actual = cache_index.entries(filled)
    assert [entry.folder.name for entry in actual] == ["new", "middle", "old"]
    first = actual[0]
    assert (first.task, first.about.metrics, first.weights) == ("t", {"test/m": 0.5}, BIG)
    assert [part.name for part in first.parts] == ["recorded/x", "recorded/y"]
    assert first.recordings == sum(part.nbytes for part in first.parts) >= 2 * SMALL
    files = (p for p in (filled / "new").rglob("*") if p.is_file())
    assert first.nbytes == sum(p.stat().st_size for p in files)


def test_pruning_takes_what_was_not_used_for_longest(filled):
    size = cache_index.entries(filled)[0].nbytes
    gone = cache_index.prune(filled, int(2.9 * size))
    assert names(gone) == {"y"}  # of the oldest
    assert (filled / "old" / "teacher").exists()
    gone = cache_index.prune(filled, 2 * size)
    assert names(gone) == {"old"} or names(gone) == {"old", "x"}
    assert not (filled / "old").exists()
    assert (filled / "something").exists()
    assert names(cache_index.prune(filled, 0)) >= {"new", "middle"}
    assert cache_index.entries(filled) == ()


def test_recordings_go_before_their_teacher(filled):
    size = cache_index.entries(filled)[0].nbytes
    cache_index.prune(filled, size - 1)
    (left,) = cache_index.entries(filled)
    assert left.folder.name == "new"
    assert left.weights == BIG
    assert [part.name for part in left.parts] == ["recorded/x"]


def test_what_is_told_to_be_deleted_is_what_was(filled):
    before = cache_index.total(filled)
    gone = cache_index.prune(filled, 0)
    locks = sum(p.stat().st_size for p in (filled / ".locks").rglob("*") if p.is_file())
    assert sum(kept.nbytes for kept in gone) == before - cache_index.total(filled) + locks


def test_a_teacher_that_cannot_be_read_is_passed_over(filled):
    (filled / "middle" / ABOUT).write_text("{")
    assert [e.folder.name for e in cache_index.entries(filled)] == ["new", "old"]


def test_an_absent_cache_is_empty(tmp_path):
    assert cache_index.entries(tmp_path / "absent") == ()
    assert cache_index.prune(tmp_path / "absent", 0) == ()
    assert not (tmp_path / "absent").exists()


def test_what_is_needed_now_is_spared(filled):
    cache_index.prune(filled, 0, spare={"old"})
    (left,) = cache_index.entries(filled)
    assert left.folder.name == "old"
    assert len(left.parts) == 2


@pytest.mark.parametrize("how", ["use", "claim"])
def test_what_is_read_or_made_stays(filled, how):
    hold = getattr(CacheLocks(filled), how)("middle")
    gone = cache_index.prune(filled, 0)
    assert not names(gone) & {"middle"}
    assert [entry.folder.name for entry in cache_index.entries(filled)] == ["middle"]
    hold.release()
    assert "middle" in names(cache_index.prune(filled, 0))


def test_what_was_left_half_written_is_shown_and_goes(filled):
    locks = CacheLocks(filled)
    left = [
        filled / ".new-1" / "teacher", filled / "new" / PARTS / ".new-2", filled / ".gone-3",
        filled / "new" / PARTS / ".gone-4",
    ]  # fmt: skip
    for path in left:
        path.mkdir(parents=True)
        (path / "half").write_bytes(b"0" * 10)
    (filled / cache_index.AUGMENTED).mkdir()
    (filled / cache_index.AUGMENTED / ".new-5").write_text("half")
    with locks.atomic_write(filled / "other") as busy:
        actual = cache_index.leftovers(filled, locks)
        assert names(actual) == {".new-1", ".new-2", ".gone-3", ".gone-4", ".new-5"}
        assert all(kept.nbytes > 0 for kept in actual)
        gone = cache_index.prune(filled, 10**9)
        assert names(gone) == names(actual)
        assert busy.exists()
    assert cache_index.leftovers(filled, locks) == ()
    assert {entry.folder.name for entry in cache_index.entries(filled)} == {"new", "middle", "old"}


def test_rows_that_were_made_of_others_are_shown_and_go(filled):
    place = filled / cache_index.AUGMENTED
    place.mkdir()
    for age, name in ((50, "a"), (500, "b")):
        (place / f"{name}.json").write_bytes(b"0" * SMALL)
        os.utime(place / f"{name}.json", (1e9 - age, 1e9 - age))
    assert [kept.path.name for kept in cache_index.augmented(filled)] == ["a.json", "b.json"]
    assert names(cache_index.prune(filled, 3 * cache_index.entries(filled)[0].nbytes)) >= {"b.json"}
    assert (place / "a.json").exists()


def test_the_most_similar_teacher_says_what_differs(tmp_path):
    kept = {"one": {"rows": "a", "teacher": "b"}, "two": {"rows": "a", "teacher": "x"}}
    for name, identity in kept.items():
        entry = teacher(tmp_path, name, 0)
        cache_index.write_metadata(entry, TeacherMetadata(task="t", metrics={}, identity=identity))
    wanted = {"rows": "c", "teacher": "x"}
    assert cache_index.differences(tmp_path, "t", wanted) == ("rows",)
    assert cache_index.differences(tmp_path, "glue/rte", wanted) == ()


def test_a_look_keeps_a_teacher_for_as_long_as_it_is_open(tmp_path):
    from tests.unit.teachers import tiny

    done = tiny.kept(tmp_path)
    cache, _ = open_cache(tmp_path)
    cache.look_up(tiny.inputs(), done.keys)
    cache_index.prune(tmp_path, 0)
    assert done.entry.exists()
    cache.close()
    cache_index.prune(tmp_path, 0)
    assert not done.entry.exists()
