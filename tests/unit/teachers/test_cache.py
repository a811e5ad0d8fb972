from __future__ import annotations

import dataclasses
import json
import resource
import shutil
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from raykd.errors import SetupError
from raykd.models import weights
from raykd.teachers import cache
from raykd.teachers.inputs import StudentCut
from raykd.teachers.recorded import checksum, joined
from raykd.teachers.shelf import ABOUT
from raykd.teachers.store import arrays
from tests.unit.teachers import tiny


def same(one: object, two: object) -> bool:
    """Whether two trees of records, mappings and arrays hold the same."""
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and np.array_equal(one, two)
    if dataclasses.is_dataclass(one):
        fields = [f.name for f in dataclasses.fields(one)]
        return type(one) is type(two) and all(
            same(getattr(one, f), getattr(two, f)) for f in fields
        )
    if isinstance(one, Mapping):
        return list(one) == list(two) and all(same(one[k], two[k]) for k in one)
    if isinstance(one, tuple | list):
        return type(one) is type(two) and len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and one == two


@contextmanager
def disk_full(after_bytes: int):
    """Files cannot grow beyond a size, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def entry(tmp_path):
    """The folder of a prepared task in the cache."""
    cache.store(tmp_path, *tiny.ready())
    return tmp_path / "f00d"


def test_others_may_read_an_entry(entry, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    files = [p for p in entry.rglob("*") if p.is_file()]
    assert len(files) > 4
    assert {p.stat().st_mode for p in files} == {plain.stat().st_mode}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dtype": "bf16"},
        {"mode": "weights"},
        {"student": StudentCut(layers=(1,), weights="finetuned")},
    ],
    ids=["outputs", "bf16", "weights", "cut student"],
)
def test_what_is_read_equals_what_was_stored(tmp_path, changes):
    prepared, state = tiny.prepared(**changes)
    cache.store(tmp_path, prepared, state)
    found = cache.load(tmp_path, "f00d")
    assert found is not prepared
    assert same(found, prepared)
    assert checksum(arrays(found)) == checksum(arrays(prepared))


def test_the_teacher_lies_beside_it_as_a_model_folder(tmp_path):
    prepared, state = tiny.ready()
    folder = cache.store(tmp_path, prepared, state)
    assert folder == tmp_path / "f00d" / "teacher"
    found = weights.load(folder).tensors
    assert same(dict(sorted(found.items())), dict(sorted(state.tensors.items())))


def test_nothing_is_pickled(entry):
    kinds = {p.suffix for p in entry.rglob("*") if p.is_file()}
    assert kinds == {".json", ".safetensors"}


def test_storing_again_replaces(tmp_path):
    prepared, state = tiny.ready()
    cache.store(tmp_path, prepared, state)
    cache.store(tmp_path, dataclasses.replace(prepared, seconds=99.0), state)
    assert cache.load(tmp_path, "f00d").seconds == 99.0
    assert [p.name for p in tmp_path.iterdir()] == ["f00d"]


def test_what_is_not_there_is_none(tmp_path):
    assert cache.load(tmp_path, "f00d") is None
    assert cache.load(tmp_path / "nowhere", "f00d") is None


def test_reading_changes_only_when_it_was_used(entry):
    def stamps() -> dict:
        return {p: p.stat().st_mtime_ns for p in [entry, *entry.rglob("*")] if p.name != ABOUT}

    before = stamps()
    cache.load(entry.parent, "f00d")
    assert stamps() == before


FILES = ["prepared.json", "arrays.safetensors", "outputs/00000.safetensors"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [0, 10, 1000])
def test_a_damaged_entry_is_none(entry, name, size):
    with (entry / name).open("r+b") as file:
        file.truncate(size)
    assert cache.load(entry.parent, "f00d") is None


@pytest.mark.parametrize("name", FILES)
def test_an_entry_that_lacks_a_file_is_none(entry, name):
    (entry / name).unlink()
    assert cache.load(entry.parent, "f00d") is None


@pytest.mark.parametrize(
    "foreign",
    [
        None, 3, [], {}, "text", {"$type": "Unknown", "fields": {}}, {"$map": []},
        {"$type": "Prepared", "fields": {}}, {"$type": "Prepared", "fields": []},
        {"$type": "Anatomy", "fields": {"layers": 1, "hidden": 1, "heads": 1, "vocabulary": 1}},
        {"$array": "a999"},
    ],
)  # fmt: skip
def test_a_foreign_entry_is_none(entry, foreign):
    (entry / "prepared.json").write_text(json.dumps(foreign))
    assert cache.load(entry.parent, "f00d") is None


def test_an_entry_under_another_name_is_none(entry):
    shutil.move(entry, entry.with_name("beef"))
    assert cache.load(entry.parent, "beef") is None


@pytest.mark.parametrize("after_bytes", [100, 9000])
def test_a_full_disk_is_told_and_nothing_is_left_behind(tmp_path, after_bytes):
    with disk_full(after_bytes), pytest.raises(SetupError, match="cannot write") as caught:
        cache.store(tmp_path, *tiny.ready())
    assert "RAYKD_CACHE" in caught.value.hint or "another folder" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_earlier_entry_alone(entry):
    with disk_full(100), pytest.raises(SetupError):
        cache.store(entry.parent, *tiny.ready())
    assert same(cache.load(entry.parent, "f00d"), tiny.ready()[0])


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot write the prepared teacher"):
        cache.store(tmp_path / "file" / "cache", *tiny.ready())


def test_recorded_outputs_are_written_and_read_block_by_block(tmp_path):
    prepared, state = tiny.ready()
    size = 8
    rows = [np.arange(k, min(k + size, 32)) for k in range(0, 32, size)]
    source = replace(tiny.given().teacher, state=state)
    plan = tiny.given().recording("train", tiny.SIGNALS)
    pieces = [plan.run(source.build(0), part, tiny.WORLD.device) for part in rows]
    written = replace(prepared, recorded=joined(pieces))
    cache.store(tmp_path, written.bare(), state, written.recorded.chunks())
    entry = cache.find(tmp_path, "f00d")
    assert len(entry.files) == len(rows)
    assert entry.bare.recorded.logits.chunks == ()
    blocks = entry.blocks()
    assert same(next(blocks), next(written.recorded.chunks()))
    assert same(entry.whole(), written)
