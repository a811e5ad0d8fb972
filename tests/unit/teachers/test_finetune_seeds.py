"""Teachers of other seeds: trained and scored next to the one that students learn from."""

from __future__ import annotations

import numpy as np
import pytest

from raykd.teachers.cache_keys import SEEDS, cache_keys_of
from raykd.teachers.finetune_seeds import scores_of_seeds
from raykd.training.settings import TrainSettings
from tests.unit.spec.files import only
from tests.unit.teachers import tiny


def quiet(*progress):
    return None


def test_each_of_them_is_what_a_teacher_of_that_seed_is_alone():
    actual = scores_of_seeds(tiny.inputs(finetune_seeds=3), (), tiny.WORLD, quiet)
    assert list(actual) == [4, 5]
    for seed, scores in actual.items():
        alone = tiny.prepared(finetune_seed=seed)[0]
        assert scores["accuracy"] == alone.metrics["test/accuracy"]


def test_students_read_the_same_of_the_first_and_the_others_scores_are_there(tmp_path):
    alone = tiny.through(tmp_path / "alone", tiny.given())
    three = tiny.through(tmp_path / "three", tiny.inputs(finetune_seeds=3))
    assert alone.prepared.seed_scores == {}
    assert list(three.prepared.seed_scores) == [4, 5]
    assert three.prepared.metrics == alone.prepared.metrics
    assert three.keys.teacher == alone.keys.teacher
    logits = [of.prepared.cached_outputs.all_logits() for of in (alone, three)]
    assert np.array_equal(*logits)


def test_more_of_them_train_those_that_are_missing(tmp_path):
    first = tiny.through(tmp_path, tiny.inputs(finetune_seeds=2))
    second = tiny.through(tmp_path, tiny.inputs(finetune_seeds=3))
    assert second.lookup.missing == (f"{SEEDS}5",)
    assert list(second.made.seed_scores) == [5]
    assert second.prepared.seed_scores.items() >= first.prepared.seed_scores.items()
    third = tiny.through(tmp_path, tiny.inputs(finetune_seeds=3))
    assert third.made is None
    assert third.prepared.seed_scores == second.prepared.seed_scores


def test_they_have_the_settings_that_a_search_found_for_the_teacher():
    made, _ = tiny.prepared(finetune_search=4, finetune_seeds=2)
    (taken,) = [one for one in made.tried if one.chosen]
    settings = TrainSettings(epochs=taken.epochs, lr=taken.lr, batch_size=16, precision="fp32")
    alone = tiny.prepared(finetune=settings, finetune_seed=4)[0]
    assert made.seed_scores[4]["accuracy"] == alone.metrics["test/accuracy"]


def test_one_that_diverges_is_there_without_a_score(monkeypatch):
    bad = TrainSettings(epochs=1, lr=1e30, batch_size=16, precision="fp32")
    actual = scores_of_seeds(tiny.inputs(finetune=bad, finetune_seeds=2), (), tiny.WORLD, quiet)
    assert actual == {4: {}}


def test_a_teacher_that_is_not_trained_has_no_seeds():
    keys = cache_keys_of(tiny.inputs(finetune=None, finetune_seeds=3), tiny.words())
    assert not [name for name in keys.parts if name.startswith(SEEDS)]


def test_progress_says_which_of_them_it_is():
    reported = []
    given = tiny.inputs(finetune_seeds=3)
    scores_of_seeds(given, (), tiny.WORLD, lambda *what: reported.append(what))
    details = [detail for _, _, _, detail in reported]
    assert details[0] == "teacher 2 of 3"
    assert details[-1].startswith("teacher 3 of 3: accuracy")


@pytest.mark.parametrize("value", ["0", "1.5", "{choice: [2, 3]}"])
def test_a_number_of_them_is_refused_that_is_none(tmp_path, value):
    text = f"""\
name: f
tasks: [toy/sentiment]
teacher:
  model: {{family: bert, layers: 2, hidden: 16, heads: 2}}
  finetune: {{seeds: {value}}}
student: {{model: {{family: bert, layers: 1, hidden: 16, heads: 2}}}}
train: {{}}
methods: {{kd: {{}}}}
"""
    problem = only(tmp_path, text)
    assert problem.path == "teacher.finetune.seeds"
    assert "'seeds' must" in problem.message
