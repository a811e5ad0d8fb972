"""``teacher.outputs``: what is read, and what is refused before any row is."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykd.errors import SpecError
from raykd.spec.descriptions import describe_teacher
from raykd.spec.dump import to_yaml
from raykd.spec.load import load_spec

FILE = """
name: soft
tasks: [{name: mine, texts: [text], labels: [a, b], path: rows}]
teacher: TEACHER
student: {model: {family: bert, layers: 1, hidden: 8, heads: 2}}
train: {lr: 1e-3}
methods: {kd: {}}
"""


def load(place: Path, teacher: str):
    path = place / "soft.yaml"
    path.write_text(FILE.replace("TEACHER", teacher))
    return load_spec(path)


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ("{outputs: {probabilities: p}}", "probabilities in column p"),
        ("{outputs: {logits: [a, b], path: z.csv, id: k}}", "logits in columns a, b of z.csv"),
        ("{outputs: {responses: r, logprobs: l, path: {train: z.jsonl}}}",
         "responses in column r and logprobs in column l of z.jsonl"),
    ],
)  # fmt: skip
def test_outputs_are_read_described_and_written_back(tmp_path, teacher, words):
    spec = load(tmp_path, teacher)
    assert describe_teacher(spec.teacher) == words
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(spec))
    assert load_spec(again) == spec


@pytest.mark.parametrize(
    ("teacher", "key", "words"),
    [
        ("{outputs: p}", "teacher.outputs", "'outputs' must say what the column holds, got p"),
        ("{outputs: {}}", "teacher.outputs", "names no column of outputs"),
        ("{}", "teacher", "needs 'model' or 'checkpoint' or 'outputs'"),
        ("{outputs: {probabilities: p}, checkpoint: x}", "teacher.checkpoint", "not both"),
        ("{outputs: {probabilities: p, logits: z}}", "teacher.outputs.logits", "not both"),
        ("{outputs: {probabilities: p, responses: r}}", "teacher.outputs.responses",
         "of tasks that are answered in text"),
        ("{outputs: {probabilities: [p, p]}}", "teacher.outputs.probabilities", "twice"),
        ("{outputs: {probabilities: ''}}", "teacher.outputs.probabilities", "an empty name"),
        ("{outputs: {probabilities: p, id: k}}", "teacher.outputs.id", "and there is none"),
        ("{outputs: {probabilities: p, path: {test: x}}}", "teacher.outputs.path", "of train"),
        ("{outputs: {probabilities: p}, finetune: {epochs: 2}}", "teacher.finetune",
         "is of a teacher that runs"),
        ("{outputs: {probabilities: p}, serve: weights}", "teacher.serve", "that runs"),
        ("{outputs: {logprobs: p}, cache: top_k}", "teacher.cache", "that runs"),
        ("{outputs: {probabilites: p}}", "teacher.outputs.probabilites", "unknown key"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_with_its_place(tmp_path, teacher, key, words):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, teacher)
    actual = [p for p in caught.value.problems() if p.path == key]
    assert [words in p.message for p in actual] == [True], caught.value.problems()
    assert actual[0].line == 4


def test_a_student_of_layers_needs_a_teacher_with_layers(tmp_path):
    file = FILE.replace("{model: {family: bert, layers: 1, hidden: 8, heads: 2}}",
                        "{from_teacher: {layers: [0]}}")  # fmt: skip
    path = tmp_path / "soft.yaml"
    path.write_text(file.replace("TEACHER", "{outputs: {probabilities: p}}"))
    with pytest.raises(SpecError, match="takes layers of a model"):
        load_spec(path)
