"""Of what is in the cache nothing is made again; what is missing is added to it."""

from __future__ import annotations

import os

import numpy as np
import pytest

from raykd import waiting
from raykd.errors import SetupError
from raykd.methods.base import OutputSpec
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.teachers import teacher_cache
from raykd.teachers.cache_keys import SPEED, CacheKeys, cache_keys_of
from raykd.teachers.cache_lookup import WEIGHTS
from raykd.teachers.teacher_cache import open_cache
from tests.unit.teachers import tiny
from tests.unit.teachers.gathering import maps_of, states_of
from tests.unit.teachers.same import same

SMALL = OutputSpec(Logits())


def close(one, two):
    return np.allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_another_layer_is_recorded_and_nothing_else(tmp_path, dtype):
    few = OutputSpec(Logits(), *hidden_states((0,)), context_padding=2)
    first = tiny.through(tmp_path, tiny.inputs(output_spec=few, dtype=dtype))
    all_of = OutputSpec(
        Logits(), *hidden_states((0, 1, 2)), *attention_maps((1,)), context_padding=2
    )
    more = tiny.inputs(output_spec=all_of, dtype=dtype)
    second = tiny.through(tmp_path, more)
    assert set(second.lookup.missing) == {
        "recorded/hidden_states/1", "recorded/hidden_states/2", "recorded/attentions/1"
    }  # fmt: skip
    assert second.made.history == ()
    assert second.made.scores == {}
    assert same(second.made.state, first.made.state)
    assert "hidden_states/1" in second.made.cached_outputs.names
    assert "hidden_states/0" not in second.made.cached_outputs.names
    # What was there is taken as it is, and the whole is what one recording gives.
    whole, _ = tiny.prepared(output_spec=more.output_spec, dtype=dtype)
    cached_outputs, want = second.prepared.cached_outputs, whole.cached_outputs
    assert np.array_equal(cached_outputs.all_logits(), first.prepared.cached_outputs.all_logits())
    assert cached_outputs.names == want.names
    rows = np.asarray([3, 0, 31])
    some, wanted = (states_of(r, rows, tiny.LENGTH, (0, 1, 2)) for r in (cached_outputs, want))
    maps, wanted_maps = (maps_of(r, rows, tiny.LENGTH, (1,)) for r in (cached_outputs, want))
    tolerance = {"fp32": 1e-5, "fp16": 2e-3, "bf16": 2e-2}[dtype]
    for layer in (0, 1, 2):
        assert (some[layer] - wanted[layer]).abs().max() < tolerance
    assert (maps[1] - wanted_maps[1]).abs().max() < tolerance
    assert cached_outputs.error().keys() == want.error().keys()
    # And from now on all of it is there, for both.
    third = tiny.through(tmp_path, more)
    assert third.made is None
    assert same(third.prepared.cached_outputs, second.prepared.cached_outputs)
    assert tiny.through(tmp_path, tiny.inputs(output_spec=few, dtype=dtype)).made is None


WANTS_NOTHING_NEW = {
    "another student": {"student": tiny.factory(300, layers=1, hidden=4)},
    "weights in place of outputs": {"mode": "weights"},
    "fewer signals": {"output_spec": SMALL},
    "the same layers in another order": {
        "output_spec": OutputSpec(Logits(), *hidden_states((2, 0)), context_padding=2)
    },
    "an arm that reads no hidden states": {"output_spec": OutputSpec(Logits(), context_padding=2)},
    "a student that pads with another token": {"student_pad": 3},
}


@pytest.mark.parametrize("change", WANTS_NOTHING_NEW)
def test_what_is_not_the_teachers_makes_nothing_again(tmp_path, change, monkeypatch):
    first = tiny.kept(tmp_path)
    monkeypatch.setattr(teacher_cache, "with_known_parts", None)
    inputs = tiny.inputs(**WANTS_NOTHING_NEW[change])
    second = tiny.through(tmp_path, inputs)
    assert second.lookup.missing == ()
    assert second.prepared.metrics == first.prepared.metrics
    assert second.prepared.history == first.prepared.history
    assert second.keys.teacher == first.keys.teacher


def test_weights_first_and_outputs_later(tmp_path):
    online = tiny.through(tmp_path, tiny.inputs(mode="weights"))
    assert online.prepared.cached_outputs is None
    outputs = tiny.through(tmp_path, tiny.inputs())
    assert set(outputs.lookup.missing) == {
        "recorded/logits", "recorded/hidden_states/0", "recorded/hidden_states/2"
    }  # fmt: skip
    alone, _ = tiny.ready()
    assert same(outputs.prepared.cached_outputs, alone.cached_outputs)


def test_other_rows_of_students_are_recorded_and_nothing_is_trained(tmp_path):
    first = tiny.kept(tmp_path)
    task, some = tiny.given().task, tiny.rows()["train"].take(np.arange(5, 20))
    train = task.encode(some, tiny.words(), tiny.LENGTH)
    splits = {**tiny.given().teacher_splits, "train": train}
    second = tiny.through(
        tmp_path,
        tiny.inputs(
            teacher_splits=splits,
            student_splits={r: splits[r] for r in ("train", "validation", "test")},
        ),
    )
    assert all(name.startswith("recorded/") for name in second.lookup.missing)
    assert close(
        second.prepared.cached_outputs.all_logits(),
        first.prepared.cached_outputs.all_logits()[5:20],
    )


def test_other_rows_to_score_are_scored_and_the_history_is_not_theirs(tmp_path):
    first = tiny.kept(tmp_path)
    given = tiny.given()
    splits = {**given.teacher_splits, "validation": given.teacher_splits["test"]}
    students = {**given.student_splits, "validation": splits["validation"]}
    second = tiny.through(tmp_path, tiny.inputs(teacher_splits=splits, student_splits=students))
    assert second.lookup.missing == ("scores/validation",) or second.lookup.missing == ()
    assert second.prepared.metrics["validation/accuracy"] == first.prepared.metrics["test/accuracy"]
    assert first.prepared.history
    assert second.prepared.history == ()


def test_the_weights_do_not_depend_on_the_rows_that_training_is_looked_at_with():
    given = tiny.given()
    splits = {**given.teacher_splits, "validation": given.teacher_splits["test"]}
    (_, one), (_, two) = tiny.ready(), tiny.prepared(teacher_splits=splits)
    words = "bert.embeddings.word_embeddings.weight"
    apart = [n for n in one.tensors if not np.array_equal(one.tensors[n], two.tensors[n])]
    # Rows of tokens that no row of training has: their decay is one product or many.
    assert apart in ([], [words])
    trained = np.unique(given.teacher_splits["finetune"].input_ids)
    assert np.array_equal(one.tensors[words][trained], two.tensors[words][trained])
    assert np.allclose(one.tensors[words], two.tensors[words], rtol=1e-6, atol=0)


def test_a_student_made_of_the_teacher_is_made_once(tmp_path):
    tiny.kept(tmp_path)
    cut = tiny.inputs(student=StudentFromTeacher(layers=(1,), weights="finetuned"))
    second = tiny.through(tmp_path, cut)
    assert second.lookup.missing == ("student", SPEED)
    third = tiny.through(tmp_path, cut)
    assert third.made is None
    assert same(third.prepared.student, second.prepared.student)


def test_rows_that_pass_are_counted(tmp_path):
    first = tiny.kept(tmp_path)
    everything = sum(tiny.ROWS[role] for role in ("train", "validation", "test"))
    assert first.prepared.forwards == first.prepared.distinct == everything
    more = tiny.inputs(output_spec=tiny.output_spec((0, 1, 2)))
    # One layer more is one more pass over the rows of training.
    second = tiny.through(tmp_path, more)
    assert second.made.rows == tiny.ROWS["train"]
    assert second.prepared.forwards == everything + tiny.ROWS["train"]
    assert tiny.through(tmp_path, more).prepared.forwards == everything


def test_only_one_has_the_right_to_make_a_teacher(tmp_path):
    keys = cache_keys_of(tiny.inputs(), tiny.words())
    one, two = open_cache(tmp_path)[0], open_cache(tmp_path)[0]
    assert one.claim(keys)
    assert one.claim(keys)
    assert not two.claim(keys)
    assert "process" in two.holder(keys)
    assert not two.wait(keys, "toy", print, lambda: True)
    one.release(keys)
    assert two.wait(keys, "toy", print)
    two.close()
    assert one.claim(keys)
    one.close()


def test_without_a_cache_everything_is_missing_and_nothing_is_kept():
    inputs = tiny.inputs()
    none = teacher_cache.TeacherCache(None)
    keys = cache_keys_of(inputs, tiny.words())
    actual = none.look_up(inputs, keys)
    assert WEIGHTS in actual.missing
    assert none.claim(keys)
    assert (
        none.store(inputs, keys, actual, teacher_cache.PreparedParts(), lambda folder: None) is None
    )
    assert none.differences(tiny.TASK, keys) == ()


@pytest.mark.parametrize("place", ["file/cache", "/proc/nope"])
def test_a_cache_that_cannot_be_written_is_found_by_trying(tmp_path, place):
    (tmp_path / "file").write_text("")
    cache, why = open_cache(tmp_path / place)
    assert why
    assert not cache.writable
    assert cache.folder is None
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_cache_that_can_only_be_read_is_read(tmp_path):
    first = tiny.kept(tmp_path)
    cache = teacher_cache.TeacherCache(tmp_path, writable=False)
    actual = cache.look_up(tiny.inputs(), first.keys)
    assert actual.missing == ()
    more = tiny.inputs(output_spec=tiny.output_spec((0, 1, 2)))
    keys = cache_keys_of(more, tiny.words())
    actual = cache.look_up(more, keys)
    assert actual.missing == ("recorded/hidden_states/1",)
    assert cache.claim(keys)
    assert (
        cache.store(more, keys, actual, teacher_cache.PreparedParts(), lambda folder: None) is None
    )


def test_another_process_is_waited_for_with_a_name_and_a_limit(tmp_path, monkeypatch):
    keys = cache_keys_of(tiny.inputs(), tiny.words())
    monkeypatch.setattr(teacher_cache, "WAIT_S", 0.01)
    monkeypatch.setattr(teacher_cache, "MOST_WAIT_S", 0.2)
    monkeypatch.setattr(waiting, "FIRST_S", 0.05)
    said = []
    one, two = open_cache(tmp_path)[0], open_cache(tmp_path)[0]
    assert one.claim(keys)
    with pytest.raises(SetupError, match="for the teacher of toy, which is being made") as why:
        two.wait(keys, "toy", said.append)
    one.close()
    who = f"process {os.getpid()} on "
    assert f"still waiting for the teacher of toy, which is being made by {who}" in said[0]
    assert "where it is stopped or hangs, end it" in said[0]
    assert who in str(why.value)


def test_the_wait_begins_anew_when_another_process_takes_over(tmp_path, monkeypatch):
    keys, now, said = CacheKeys(teacher="t", identity={}, parts={}, rows=""), [0.0], []
    monkeypatch.setattr(teacher_cache.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(teacher_cache.time, "monotonic", lambda: now[0])
    one, two = open_cache(tmp_path)[0], open_cache(tmp_path)[0]
    assert one.claim(keys)
    (by,) = (tmp_path / ".locks").glob("t*.by")

    def stop():
        now[0] += 3600.0
        if now[0] == 20 * 3600.0:
            by.write_text("process 7 on elsewhere")
        return now[0] > 90 * 3600.0

    with pytest.raises(SetupError, match=r"for the teacher of toy, .* by process 7 on elsewhere"):
        two.wait(keys, "toy", said.append, stop)
    one.close()
    assert now[0] == 44 * 3600.0
    assert "by process 7 on elsewhere, for 60 min" in said[-5]
