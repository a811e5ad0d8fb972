"""From labelled texts and a fine-tuned teacher on disk to a search space: two commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raykd.cli.main import main
from raykd.spec.load import load_spec
from tests.cases.model_folders import bpe_tokenizer, write_decoder
from tests.cases.own_desk import INTENTS, NAMES, write_desk, write_flags, write_intents


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with an ugly CSV of 152 rows and a fine-tuned teacher; the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("raykd.hub.reachable", lambda: False)
    write_desk(tmp_path)
    return tmp_path


def test_two_commands_lead_from_a_file_and_a_teacher_to_a_student(desk, capsys):
    assert main(["init", "--from", "my reviews.csv", "--teacher", "teacher"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("my-reviews.yaml\n")
    first = Path("my-reviews.yaml").read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=schema.json"
    assert Path("schema.json").is_file()
    assert "is one set of 152 rows, which is split" in out
    assert "column 'verdict' holds 4 classes" in out
    assert "it is the teacher as it is" in out
    spec = load_spec("my-reviews.yaml")
    own = spec.own_tasks["my-reviews"]
    # As the head of the teacher has them, not by name.
    assert (own.texts, own.label, own.labels) == (("text",), "verdict", NAMES)
    assert spec.teacher.checkpoint == "teacher"
    assert spec.student.from_teacher.layers == (1,)
    assert 8 <= spec.data.max_length <= 32  # one row of 40,000 words does not decide

    assert main(["data", "my-reviews.yaml", "--format", "json"]) == 0
    actual = json.loads(capsys.readouterr().out)
    assert sum(actual["rows"][role] for role in ("train", "validation", "test")) == 152
    assert actual["lengths"]["train"]["cut"] + actual["lengths"]["validation"]["cut"] >= 0
    assert sum(of["cut"] for of in actual["lengths"].values()) == 1
    assert max(of["longest"] for of in actual["lengths"].values()) > 40_000
    roles = ("train", "validation", "test")
    of_classes = {name: sum(of[role] for role in roles) for name, of in actual["classes"].items()}
    assert of_classes == dict(zip(NAMES, (51, 50, 50, 1), strict=True))
    assert len(actual["samples"]) == 3
    assert actual["samples"][0]["read"].startswith("[CLS] the film was")

    changes = ["--set", "train.epochs=1", "--set", "train.lr=1e-3"]
    assert main(["trial", "my-reviews.yaml", "--arm", "none", *changes]) == 0
    assert "test/accuracy" in capsys.readouterr().out


def test_classes_that_are_numbers_and_come_late_are_read_as_they_are(desk, capsys):
    write_intents(desk)
    assert main(["init", "--from", "my intents", "--teacher", "teacher"]) == 0
    out = capsys.readouterr().out
    assert f"column 'intent' holds {INTENTS} classes, by its name" in out
    assert "'152' occurs in test only" in out
    own = load_spec("my-intents.yaml").own_tasks["my-intents"]
    assert own.labels == tuple(str(k) for k in range(1, INTENTS + 1))

    assert main(["data", "my-intents.yaml", "--format", "json"]) == 0
    actual = json.loads(capsys.readouterr().out)
    assert {role: actual["classes"]["151"][role] for role in ("train", "test")} == {
        "train": 1, "test": 0
    }  # fmt: skip
    assert {role: actual["classes"]["152"][role] for role in ("train", "test")} == {
        "train": 0, "test": 1
    }  # fmt: skip
    notes = "\n".join(actual["notes"])
    assert "train.csv: 1 of 152 classes have no row: 152" in notes
    assert "3 of 153 validation rows (2 %) occur among the rows" in notes

    quick = ["train.epochs=1", "data.limit=310", "teacher.finetune.epochs=1"]
    changes = [part for change in quick for part in ("--set", change)]
    assert main(["trial", "my-intents.yaml", "--arm", "none", *changes]) == 0
    assert "test/accuracy" in capsys.readouterr().out


def test_truth_values_are_classes(desk, capsys):
    write_flags(desk)
    assert main(["init", "--from", "flags", "--teacher", "teacher"]) == 0
    capsys.readouterr()
    assert main(["data", "flags.yaml", "--format", "json"]) == 0
    actual = json.loads(capsys.readouterr().out)
    assert {name: of["test"] for name, of in actual["classes"].items()} == {"False": 27, "True": 13}
    assert "2 of 40 test rows (5 %) occur among the rows" in "\n".join(actual["notes"])


def test_what_is_shown_of_the_rows_is_read_by_people(desk, capsys):
    assert main(["init", "--from", "my reviews.csv", "--teacher", "teacher", "-o", "a.yaml"]) == 0
    capsys.readouterr()
    assert main(["data", "a.yaml", "--samples", "1", "--format", "plain"]) == 0
    out = capsys.readouterr().out
    assert "a.yaml" not in out
    for part in ("rows for", "median tokens", "so so, or worse", "sample 1 of train", "learnt:"):
        assert part in out
    assert main(["data", "a.yaml", "--task", "other"]) == 2


def test_prompts_get_a_teacher_that_writes(desk, capsys):
    write_decoder(desk / "writer", bpe_tokenizer(["the film was it"] * 9))
    rows = [{"question": f"the film {k}?", "answer": f"it was {k}"} for k in range(40)]
    (desk / "asked").mkdir()
    for split in ("train", "dev"):
        (desk / "asked" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main(["init", "--from", "asked", "--teacher", "writer"]) == 0
    spec = load_spec("asked.yaml")
    own = spec.own_tasks["asked"]
    assert (own.kind, own.prompt, own.response) == ("text", "question", "answer")
    assert own.splits == {"validation": "dev"}
    assert list(spec.methods) == ["sft", "kd"]
    assert main(["data", "asked.yaml", "--samples", "1"]) == 0
    assert "  > it was 0" in capsys.readouterr().out


def write_rows(folder: Path, **splits: list[dict[str, Any]]) -> None:
    folder.mkdir()
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_what_is_proposed_is_read_whatever_later_splits_hold(desk, capsys):
    def rows(*labels: Any) -> list[dict[str, Any]]:
        return [{"text": f"the film {k}", "y": labels[k % len(labels)]} for k in range(30)]

    write_rows(desk / "sst", train=rows("a", "b"), dev=rows("a", "c"), test=rows(-1))
    write_rows(desk / "sts", train=rows(1.5, 2.5), dev=rows(0.5, 4.5), test=rows(5))
    write_rows(
        desk / "tags", train=[{"w": ["Ann", f"saw{k}"], "tags": ["B-P", "O"]} for k in range(30)]
    )
    soft = [{"text": f"the film {k}", "y": "ab"[k % 2], "p": [k % 2, 1 - k % 2]} for k in range(30)]
    write_rows(desk / "soft", train=soft)
    for name, task in (("sst", "sst"), ("sts", "my-sts"), ("tags", "tags"), ("soft", "soft")):
        assert main(["init", "--from", name, "-o", f"{name}.yaml"]) == 0
        out = capsys.readouterr().out
        assert main(["data", f"{name}.yaml", "--format", "json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["task"] == task
        if name == "sst":
            assert "'c' occurs in validation only" in out
            assert "the file of test has no labels (column 'y'), and is not read" in out
            assert shown["classes"]["c"]["test"] == 15
        elif name == "sts":
            assert load_spec("sts.yaml").own_tasks[task].span == (0.5, 5.0)
        elif name == "soft":
            assert load_spec("soft.yaml").teacher.outputs.probabilities == "p"
            assert "the label in 0% of the rows: CHECK the order of the classes" in out


KINDS = {
    "regression": lambda k: {"text": f"the film {k}", "score": k / 10},
    "multi_label": lambda k: {"text": f"the film {k}", "topics": [["a"], ["a", "b"], []][k % 3]},
    "token_classification": lambda k: {"w": ["Ann", f"saw{k}"], "tags": ["B-P", "O"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_proposed_of_other_kinds_is_valid(desk, capsys, kind):
    write_rows(desk / "rows", train=[KINDS[kind](k) for k in range(60)])
    assert main(["init", "--from", "rows", "--teacher", "teacher"]) == 0
    assert load_spec("rows.yaml").own_tasks["rows"].kind == kind
    assert main(["validate", "rows.yaml"]) == 0
    err = capsys.readouterr().err
    assert "no effect" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "nothing.csv"], "no file matches 'nothing.csv'"),
        (["--from", "teacher"], "has no file of the split train"),
        (["--from", "my reviews.csv", "--teacher", "nowhere/at/all"], "nowhere/at/all"),
        (["--from", "my reviews.csv", "--label", "mood"], "has no column 'mood'"),
        (["--teacher", "teacher"], "--teacher and --label need --from"),
    ],
)
def test_what_cannot_be_proposed_is_reported(desk, capsys, arguments, words):
    assert main(["init", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_without_a_teacher_lengths_are_estimated_and_it_is_reported(desk, capsys):
    assert main(["init", "--from", "my reviews.csv"]) == 0
    out = capsys.readouterr().out
    assert "no teacher was named" in out
    assert "the model is not on this machine" in out
    assert load_spec("my-reviews.yaml").teacher.finetune
