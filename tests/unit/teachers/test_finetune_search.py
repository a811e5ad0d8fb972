"""The search for a teacher's own settings, and weights that are kept before the rest is made."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raykd.errors import TeacherError
from raykd.teachers import cache_index
from raykd.teachers.cache_keys import cache_keys_of
from raykd.teachers.cache_lookup import WEIGHTS
from raykd.teachers.finetune_search import candidates, finetuned
from raykd.teachers.prepare import make
from raykd.teachers.scoring import metrics_of
from raykd.teachers.stepwise_store import StepwiseStore
from raykd.teachers.teacher_cache import open_cache, with_known_parts
from raykd.training.settings import TrainSettings
from tests.unit.teachers import tiny
from tests.unit.teachers.same import same


def quiet(*progress):
    return None


def test_candidates_begin_with_what_is_given_and_cover_the_range():
    given = TrainSettings(lr=2e-5, epochs=3)
    few, many = candidates(given, 4), candidates(given, 12)
    assert few[0] == given
    assert many[:4] == few  # a longer search continues a shorter one
    assert len(set(many)) == 12
    rates = [one.lr for one in many]
    assert min(rates) >= 2e-5 / 4
    assert max(rates) <= 2e-5 * 4
    assert sum(rate < 2e-5 for rate in rates) >= 4 <= sum(rate > 2e-5 for rate in rates)
    assert {one.epochs for one in many} == {2, 3, 6}
    assert {one.epochs for one in candidates(TrainSettings(epochs=1), 9)} == {1, 2}


def test_the_best_training_on_the_validation_split_is_the_teacher():
    given = tiny.inputs(finetune_search=4)
    reported = []
    best = finetuned(given, given.teacher, tiny.WORLD, lambda *what: reported.append(what))
    scores = [one.score for one in best.tried]
    (taken,) = [k for k, one in enumerate(best.tried) if one.chosen]
    assert taken == scores.index(max(scores))
    assert len(set(scores)) > 1
    assert [(one.lr, one.epochs) for one in best.tried] == [
        (one.lr, one.epochs) for one in candidates(given.finetune, 4)
    ]
    # It is what fine-tuning with these settings alone gives, bit for bit.
    settings = candidates(given.finetune, 4)[taken]
    alone = finetuned(tiny.inputs(finetune=settings), given.teacher, tiny.WORLD, quiet)
    both = zip(best.model.state_dict().items(), alone.model.state_dict().items(), strict=True)
    assert all(name == other and bool((a == b).all()) for (name, a), (other, b) in both)
    assert [e.metrics for e in best.history] == [e.metrics for e in alone.history]
    total = sum(one.epochs for one in best.tried)
    assert reported[-1][1:3] == (total, total)
    assert reported[-1][3].startswith("training 4 of 4, lr ")


def test_a_search_whose_trainings_all_diverge_is_reported():
    settings = TrainSettings(epochs=1, lr=1e30, batch_size=16, precision="fp32")
    given = tiny.inputs(finetune=settings, finetune_search=2)
    with pytest.raises(TeacherError, match="all 2 trainings of"):
        finetuned(given, given.teacher, tiny.WORLD, quiet)


def test_a_training_that_diverges_is_recorded_and_not_taken(monkeypatch):
    bad, good = (
        TrainSettings(epochs=1, lr=lr, batch_size=16, precision="fp32") for lr in (1e30, 1e-3)
    )
    monkeypatch.setattr("raykd.teachers.finetune_search.candidates", lambda *of: (bad, good, bad))
    given = tiny.inputs(finetune=bad, finetune_search=3)
    best = finetuned(given, given.teacher, tiny.WORLD, quiet)
    assert [one.chosen for one in best.tried] == [False, True, False]
    assert [math.isfinite(one.score) for one in best.tried] == [False, True, False]
    # The one that was taken is there, although another was trained after it.
    alone = finetuned(tiny.inputs(finetune=good), given.teacher, tiny.WORLD, quiet)
    both = zip(best.model.parameters(), alone.model.parameters(), strict=True)
    assert all(bool((one == other).all()) for one, other in both)


def test_what_was_tried_comes_back_from_the_cache(tmp_path):
    searched = tiny.inputs(finetune_search=2)
    first = tiny.through(tmp_path, searched)
    assert len(first.prepared.tried) == 2
    assert sum(one.seconds for one in first.prepared.tried) <= first.prepared.seconds
    second = tiny.through(tmp_path, searched)
    assert second.made is None
    assert second.prepared.tried == first.prepared.tried


def test_a_search_is_another_teacher_and_so_are_rows_that_decide_it():
    given = tiny.given()
    splits = {**given.teacher_splits, "validation": given.teacher_splits["test"]}
    keys = [
        cache_keys_of(inputs, tiny.words()).teacher
        for inputs in (
            given,
            tiny.inputs(finetune_search=2),
            tiny.inputs(finetune_search=3),
            tiny.inputs(finetune_search=2, teacher_splits=splits),
        )
    ]
    assert len(set(keys)) == 4


def test_fine_tuned_weights_are_kept_before_anything_is_made_of_them(tmp_path):
    inputs = tiny.given()
    cache, _ = open_cache(tmp_path)
    keys = cache_keys_of(inputs, tiny.words())
    actual = cache.look_up(inputs, keys)
    assert cache.claim(keys)
    store = StepwiseStore(cache, inputs, keys, actual, tiny.words().save_pretrained)

    def dies(*args):
        raise MemoryError

    with pytest.raises(MemoryError):
        make(with_known_parts(inputs, actual), tiny.WORLD, quiet, dies, store.weights)
    cache.close()
    # The next attempt reads them and trains nothing.
    again = tiny.through(tmp_path, inputs)
    assert WEIGHTS not in again.lookup.missing
    assert again.made.history == ()
    alone, state = tiny.ready()
    assert same(again.made.state, state)
    assert [e.terms for e in again.prepared.history] == [e.terms for e in alone.history]
    logits = again.prepared.cached_outputs.all_logits()
    assert np.array_equal(logits, alone.cached_outputs.all_logits())


def test_time_is_counted_once_where_weights_are_kept_first(tmp_path):
    inputs = tiny.given()
    cache, _ = open_cache(tmp_path)
    keys = cache_keys_of(inputs, tiny.words())
    actual = cache.look_up(inputs, keys)
    assert cache.claim(keys)
    store = StepwiseStore(cache, inputs, keys, actual, tiny.words().save_pretrained)
    made = make(with_known_parts(inputs, actual), tiny.WORLD, quiet, keep=store.weights)
    store.rest(made)
    there = cache.look_up(inputs, keys)
    cache.close()
    assert there.missing == ()
    assert there.made.seconds == pytest.approx(made.seconds)
    assert there.made.scores == made.scores
    (entry,) = cache_index.entries(tmp_path)
    assert entry.about.metrics.keys() == metrics_of(made.scores).keys()
