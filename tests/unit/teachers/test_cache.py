from __future__ import annotations

import json
import os
import resource
from contextlib import contextmanager

import pytest

from raykd.errors import SetupError
from raykd.models import weights
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers import cache
from raykd.teachers.cache_index import ABOUT, PARTS, TEACHER
from tests.unit.teachers import tiny
from tests.unit.teachers.same import same, timeless


@contextmanager
def disk_full(after_bytes: int):
    """Files cannot grow beyond a size, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


CHANGES = {
    "outputs": dict,
    "bf16": lambda: {"dtype": "bf16"},
    "weights": lambda: {"mode": "weights"},
    "cut student": lambda: {"student": StudentFromTeacher(layers=(1,), weights="finetuned")},
    "as it is": lambda: {"finetune": None, "teacher": tiny.pretrained(tiny.given().teacher)},
}


def test_others_may_read_an_entry(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    files = [p for p in tiny.kept(tmp_path / "cache").entry.rglob("*") if p.is_file()]
    assert len(files) > 4
    assert {p.stat().st_mode for p in files} == {plain.stat().st_mode}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_read_equals_what_was_made(tmp_path, change):
    inputs = tiny.inputs(**CHANGES[change]())
    one, two = tiny.through(tmp_path, inputs), tiny.through(tmp_path, inputs)
    assert one.lookup.is_new
    assert two.made is None
    assert two.lookup.missing == ()
    assert same(two.prepared, one.prepared)


def test_a_preparation_gives_the_same_with_a_cache_and_without(tmp_path):
    done = tiny.kept(tmp_path)
    assert same(timeless(done.prepared), timeless(tiny.ready()[0]))


def test_the_teacher_is_a_model_folder_with_its_tokenizer(tmp_path):
    done = tiny.kept(tmp_path)
    actual = weights.load(done.entry / TEACHER).tensors
    assert same(actual, done.made.state.tensors)
    assert (done.entry / TEACHER / "tokenizer.json").exists()


def test_weights_come_back_type_for_type(tmp_path):
    done = tiny.kept(tmp_path)
    trained = cache.read_teacher(done.entry)
    assert same(cache.read_state(done.entry, trained), done.made.state)


def test_a_teacher_that_was_not_trained_here_leaves_no_copy(tmp_path):
    done = tiny.through(tmp_path, tiny.inputs(**CHANGES["as it is"]()))
    assert not (done.entry / TEACHER).exists()
    assert (done.entry / ABOUT).exists()


def test_nothing_is_pickled(tmp_path):
    done = tiny.kept(tmp_path)
    kinds = {p.suffix for p in done.entry.rglob("*") if p.is_file()}
    assert kinds == {".json", ".safetensors"}


def test_reading_changes_only_when_it_was_used(tmp_path):
    done = tiny.kept(tmp_path)

    def stamps() -> dict:
        return {p: p.stat().st_mtime_ns for p in done.entry.rglob("*") if p.name != ABOUT}

    before = stamps()
    tiny.through(tmp_path, tiny.inputs())
    assert stamps() == before


def part_of(done, name):
    return done.entry / PARTS / done.keys.parts[name]


TEACHER_FILES = ["teacher.json", "teacher.safetensors", f"{TEACHER}/model.safetensors"]
PART_FILES = {
    "recorded/hidden_states/2": ["part.json", "part.safetensors", "00000.safetensors"],
    "scores/test": ["part.json"],
}


@pytest.mark.parametrize(("file", "size"), list(zip(TEACHER_FILES, (None, 0, 10), strict=True)))
def test_a_damaged_teacher_is_made_again_whole(tmp_path, file, size):
    done = tiny.kept(tmp_path)
    _damage(done.entry / file, size)
    again = tiny.through(tmp_path, tiny.inputs())
    assert again.lookup.damaged
    assert again.lookup.is_new
    assert same(timeless(again.prepared), timeless(done.prepared))
    assert tiny.through(tmp_path, tiny.inputs()).made is None


@pytest.mark.parametrize(("name", "file"), [(n, f) for n in PART_FILES for f in PART_FILES[n]])
@pytest.mark.parametrize("size", [None, 10])
def test_a_damaged_part_is_made_again_and_nothing_else(tmp_path, name, file, size):
    done = tiny.kept(tmp_path)
    _damage(part_of(done, name) / file, size)
    again = tiny.through(tmp_path, tiny.inputs())
    assert again.lookup.damaged
    assert again.lookup.missing == (name,)
    assert again.made.history == ()
    assert same(again.prepared.cached_outputs, done.prepared.cached_outputs)
    assert tiny.through(tmp_path, tiny.inputs()).made is None


@pytest.mark.parametrize("file", [*TEACHER_FILES, *PART_FILES["recorded/hidden_states/2"]])
def test_a_file_that_is_cut_anywhere_is_not_taken_for_a_whole_one(tmp_path, file):
    done = tiny.kept(tmp_path)
    name = "recorded/hidden_states/2"
    is_part = file in PART_FILES[name]
    path = (part_of(done, name) if is_part else done.entry) / file
    for size in reversed(range(max(0, path.stat().st_size - 4096), path.stat().st_size)):
        os.truncate(path, size)
        if is_part:
            assert cache.read_signal(done.entry, done.keys.parts[name]) is None
        else:
            assert cache.read_teacher(done.entry) is None


def _damage(path, size):
    if size is None:
        path.unlink()
        return
    with path.open("r+b") as file:
        file.truncate(size)


@pytest.mark.parametrize(
    "foreign",
    [
        None, 3, [], {}, "text", {"$type": "Unknown", "fields": {}}, {"$map": []},
        {"$type": "TrainedTeacher", "fields": {}}, {"$type": "TrainedTeacher", "fields": []},
        {"$type": "ModelDims", "fields": {"layers": 1, "hidden": 1, "heads": 1, "vocabulary": 1}},
        {"$array": "a999"},
    ],
)  # fmt: skip
def test_a_foreign_entry_is_none(tmp_path, foreign):
    done = tiny.kept(tmp_path)
    (done.entry / "teacher.json").write_text(json.dumps(foreign))
    assert cache.read_teacher(done.entry) is None


@pytest.mark.parametrize("after_bytes", [10, 9000])
def test_a_full_disk_is_reported_and_nothing_is_left_half_written(tmp_path, after_bytes):
    with disk_full(after_bytes), pytest.raises(SetupError, match="cannot write") as caught:
        tiny.through(tmp_path / "cache", tiny.inputs())
    assert "RAYKD_CACHE" in caught.value.hint
    left = [p for p in (tmp_path / "cache").rglob("*") if ".locks" not in p.parts]
    assert left == []


def test_a_full_disk_while_a_part_is_added_leaves_the_rest_alone(tmp_path):
    small = tiny.inputs(output_spec=tiny.output_spec(()))
    done = tiny.through(tmp_path, small)
    with disk_full(9000), pytest.raises(SetupError, match="cannot write"):
        tiny.through(tmp_path, tiny.inputs())
    again = tiny.through(tmp_path, small)
    assert again.made is None
    assert same(again.prepared, done.prepared)
