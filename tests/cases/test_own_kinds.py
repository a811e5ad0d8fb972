"""Sets of classes and tags of words, from files to a trained student."""

from __future__ import annotations

import json

import pytest

from raykd.cli.main import main

SPACE = """
name: kinds
tasks:
  - {name: tags, kind: token_classification, path: tags, texts: [tokens], label: tags,
     labels: [O, B-PER, I-PER, B-LOC]}
  - {name: topics, kind: multi_label, path: topics, texts: [text], label: topics,
     labels: [sport, art], metrics: [accuracy]}
data: {max_length: 16}
teacher:
  model: {family: bert, layers: 1, hidden: 16, heads: 2, vocabulary: 100}
  finetune: {epochs: 1, lr: 1e-3}
student: {model: {family: bert, layers: 1, hidden: 8, heads: 2, vocabulary: 100}}
train: {epochs: 1, lr: 1e-3}
methods: {none: {}, kd: {}}
"""
TAGGED = [
    {"tokens": ["Ann", "Lee", "saw", "Rome"], "tags": ["B-PER", "I-PER", "O", "B-LOC"]},
    {"tokens": ["Oslo", "is", "cold"], "tags": ["B-LOC", "O", "O"]},
]
SETS = [
    {"text": "a goal and a song", "topics": ["sport", "art"]},
    {"text": "a goal", "topics": "sport"},
    {"text": "nothing at all", "topics": []},
]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    for name, rows in (("tags", TAGGED), ("topics", SETS)):
        (tmp_path / name).mkdir()
        for split in ("train", "validation"):
            text = "\n".join(json.dumps(row) for row in rows * 8)
            (tmp_path / name / f"{split}.jsonl").write_text(text)
    (tmp_path / "a.yaml").write_text(SPACE)
    return tmp_path


def test_rows_are_shown_with_what_is_learnt_of_them(desk, capsys):
    assert main(["data", "a.yaml", "--format", "json", "--samples", "24"]) == 0
    tags, topics = map(json.loads, capsys.readouterr().out.splitlines())
    assert {"read": "[CLS] ann lee saw rome [SEP]", "learnt": "B-PER I-PER O B-LOC"} in (
        tags["samples"]
    )
    learnt = {sample["read"]: sample["learnt"] for sample in topics["samples"]}
    assert learnt["[CLS] a goal and a song [SEP]"] == "sport, art"
    assert learnt["[CLS] nothing at all [SEP]"] == "no class"


def test_rows_with_each_class_and_words_with_each_tag_are_counted(desk, capsys):
    assert main(["data", "a.yaml", "--format", "json", "--samples", "0"]) == 0
    tags, topics = map(json.loads, capsys.readouterr().out.splitlines())
    assert (tags["counted"], topics["counted"]) == ("words", "rows")
    of_tests = [{k: of["test"] for k, of in shown["classes"].items()} for shown in (tags, topics)]
    assert of_tests == [
        {"O": 24, "B-PER": 8, "I-PER": 8, "B-LOC": 16}, {"sport": 16, "art": 8},
    ]  # fmt: skip
    # Validation rows are held out from train, which has the same rows as test.
    for name, of in tags["classes"].items():
        assert of["train"] + of["validation"] == of_tests[0][name]
    assert main(["data", "a.yaml", "--samples", "0", "--task", "tags"]) == 0
    assert "class of words" in capsys.readouterr().out


@pytest.mark.parametrize(("task", "metric"), [("tags", "entity_f1"), ("topics", "f1_micro")])
def test_students_learn_them_from_a_teacher(desk, capsys, task, metric):
    assert main(["trial", "a.yaml", "--task", task, "--arm", "kd"]) == 0
    out, err = capsys.readouterr()
    assert f"test/{metric}" in out
    assert " distil " in err


def test_a_method_on_distributions_over_classes_refuses_sets(desk, capsys):
    (desk / "b.yaml").write_text(SPACE.replace("kd: {}", "sinkd: {}"))
    assert main(["validate", "b.yaml"]) == 2
    assert "not multi_label" in capsys.readouterr().err
