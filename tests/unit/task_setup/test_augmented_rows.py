from __future__ import annotations

import numpy as np
import pytest

from raykd import registry
from raykd.data.base import Examples
from raykd.data.row_roles import load_row_roles
from raykd.errors import SpecError
from raykd.spec.load import load_spec
from raykd.spec.schema import AugmentSpec
from raykd.task_setup.settings import augment_settings, role_settings
from raykd.teachers.augmented_rows import augmented
from tests.integration.conftest import TASK, tiny_spec
from tests.unit.spec.files import ARMS, HEAD, only, write

TASKS = registry.load("tasks", TASK)


@pytest.fixture
def how(tmp_path) -> AugmentSpec:
    path = tmp_path / "glove.txt"
    path.write_text("soup 1 0\nstew 0.9 0.2\nbad 0 1\nawful 0.1 0.9\nfine -1 0\n")
    return AugmentSpec(vectors=str(path), copies=5, candidates=1)


ROWS = Examples(texts=(("the soup was bad", "the fine soup"),), labels=np.array([0, 2]))


def test_rows_are_made_once_and_then_read(tmp_path, how):
    first = augmented(TASKS, ROWS, augment_settings(how), tmp_path / "cache")
    assert len(first) > len(ROWS)
    (kept,) = (tmp_path / "cache" / "augmented").iterdir()
    text, file = kept.read_bytes(), kept.stat().st_ino
    again = augmented(TASKS, ROWS, augment_settings(how), tmp_path / "cache")
    assert again.texts == first.texts
    assert np.array_equal(again.labels, first.labels)
    assert (kept.read_bytes(), kept.stat().st_ino) == (text, file)
    other = augment_settings(how.model_copy(update={"copies": 2}))
    augmented(TASKS, ROWS, other, tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "augmented").iterdir())) == 2


def test_only_the_students_train_rows_grow(tmp_path, how, monkeypatch):
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    plain = tiny_spec()
    data = plain.data.model_copy(update={"augment": how})
    grown = plain.model_copy(update={"data": data})
    actual, before = (load_row_roles(TASKS, role_settings(s, TASKS)) for s in (grown, plain))
    assert len(actual["train"]) > len(before["train"])
    for role in ("finetune", "validation", "test"):
        assert actual[role].texts == before[role].texts


def test_a_task_whose_answers_depend_on_words_is_refused(tmp_path, how):
    with pytest.raises(SpecError, match="squad has answers that depend on them"):
        augmented(registry.load("tasks", "squad"), ROWS, augment_settings(how), tmp_path)


def test_a_source_of_words_is_needed(tmp_path):
    actual = only(tmp_path, HEAD + ARMS + "data: {augment: {copies: 3}}\n")
    assert "needs a source of words" in actual.message
    spec = load_spec(write(tmp_path, HEAD + ARMS + "data: {augment: {model: some/bert}}\n"))
    assert spec.data.augment.model == "some/bert"
