"""Models of Sentence Transformers: read by the mean if they are made so, else refused at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raykd.errors import DataError, SpecError
from raykd.models.checkpoint import read_checkpoint
from raykd.task_setup.set_up import set_up_task
from tests.cases.model_folders import spec_of, write_encoder

PAIRS = """
name: pairs
tasks: [{{name: own, kind: embedding, path: data, texts: [one, two], label: score, span: [0, 5]}}]
data: {{max_length: 16}}
teacher: {{checkpoint: {teacher}}}
student: {{model: {student}}}
train: {{epochs: 1, batch_size: 8, lr: 1e-3}}
methods: {{none: {{}}, embedding_cosine: {{}}}}
search: {{trials: 1}}
confirm: {{seeds: [1]}}
"""
KIND = "sentence_transformers.models."
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
MEAN = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


def described(folder: Path, pooling: dict[str, Any] | None, *behind: str) -> None:
    """Write the files of Sentence Transformers into a model's folder."""
    kinds = ["Transformer", *([] if pooling is None else ["Pooling"]), *behind]
    modules = [
        {"idx": k, "name": str(k), "path": f"{k}_{kind}" if k else "", "type": KIND + kind}
        for k, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    if pooling is not None:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        stated = {"word_embedding_dimension": 32, **pooling}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(stated))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the models ``t`` and ``s`` and with rows; no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("t", "s"):
        write_encoder(tmp_path / name, num_hidden_layers=1)
    (tmp_path / "data").mkdir()
    rows = [f"the film was good,the film was bad,{k % 6}" for k in range(12)]
    for split in ("train", "validation"):
        (tmp_path / "data" / f"{split}.csv").write_text("\n".join(["one,two,score", *rows]) + "\n")
    return tmp_path


def read(name: str = "t", kind: str = "embedding") -> None:
    read_checkpoint(name, kind=kind, num_labels=1)


@pytest.mark.parametrize(
    ("pooling", "behind", "actual"),
    [
        (CLS, (), "with the pooling cls ("),
        ({"pooling_mode": "lasttoken"}, ("Normalize",), "with the pooling lasttoken ("),
        ({**MEAN, "pooling_mode_max_tokens": True}, (), "with the pooling max ("),
        (MEAN, ("Dense", "Normalize"), "with a module Dense ("),
        (CLS, ("Dense",), "with a module Dense and the pooling cls ("),
    ],
)
def test_other_vectors_than_the_mean_are_refused(place, pooling, behind, actual):
    described(place / "t", pooling, *behind)
    with pytest.raises(SpecError) as caught:
        read()
    assert actual in caught.value.message
    assert "Transformer, Pooling, Normalize with the pooling mean" in caught.value.message
    assert "without modules.json and 1_Pooling" in caught.value.hint
    read(kind="classification")  # whose vectors are no matter


@pytest.mark.parametrize(
    ("pooling", "behind"),
    [(MEAN, ()), (MEAN, ("Normalize",)), ({"pooling_mode": "mean"}, ()), ({}, ()), (None, ())],
)
def test_the_mean_is_read(place, pooling, behind):
    described(place / "t", pooling, *behind)
    read()


def test_a_pooling_without_modules_counts(place):
    described(place / "t", CLS)
    (place / "t" / "modules.json").unlink()
    with pytest.raises(SpecError, match="the pooling cls"):
        read()


@pytest.mark.parametrize("text", ["[{", "{}", "[1]", '[{"idx": 0}]'])
def test_modules_that_are_none_are_one_message(place, text):
    (place / "t" / "modules.json").write_text(text)
    with pytest.raises(DataError, match=r"modules\.json") as caught:
        read()
    assert caught.value.hint


def test_a_pooling_that_was_not_copied_is_missed(place):
    described(place / "t", MEAN)
    (place / "t" / "1_Pooling" / "config.json").unlink()
    with pytest.raises(DataError, match="1_Pooling"):
        read()


def test_a_model_in_the_cache_of_the_hub_is_looked_at(place):
    described(place / "t", CLS)
    repo = place / "hub" / "models--org--name"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("a" * 40)
    (repo / "snapshots").mkdir()
    (place / "t").rename(repo / "snapshots" / ("a" * 40))
    with pytest.raises(SpecError, match="'org/name' makes vectors of texts with the pooling cls"):
        read("org/name")


@pytest.mark.parametrize(("of", "key"), [("t", "teacher.checkpoint"), ("s", "student.model")])
def test_teacher_and_student_are_refused_before_training(place, of, key):
    spec = spec_of(place, PAIRS.format(teacher="t", student="s"))
    set_up_task(spec, "own")
    described(place / of, CLS)
    with pytest.raises(SpecError) as caught:
        set_up_task(spec, "own")
    (problem,) = caught.value.problems()
    assert problem.path == key
    assert f"'{of}' makes vectors of texts with the pooling cls" in problem.message
