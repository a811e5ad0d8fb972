"""A teacher behind an address in the search space: what is read, and what is refused."""

from __future__ import annotations

import pytest

from raykd.errors import SpecError
from raykd.spec.load import load_spec, to_yaml

HEAD = """\
name: x
tasks: [glue/rte]
teacher: {teacher}
student: {{model: {{family: bert, layers: 1, hidden: 8, heads: 2}}}}
train: {{epochs: 1}}
methods: {{none: {{}}, kd: {{}}}}
"""
URL = "http://localhost:8000/v1"


def load(tmp_path, teacher):
    path = tmp_path / "x.yaml"
    path.write_text(HEAD.format(teacher=teacher))
    return load_spec(path)


def test_an_address_and_how_it_is_asked(tmp_path):
    ask = "{key: MY_KEY, interface: completions, choices: {entailment: Yes}, concurrent: 2}"
    actual = load(tmp_path, f"{{endpoint: '{URL}', model: big, ask: {ask}}}")
    teacher = actual.teacher
    assert (teacher.endpoint, teacher.model) == (URL, "big")
    assert teacher.ask is not None
    assert (teacher.ask.key, teacher.ask.interface, teacher.ask.concurrent) == (
        "MY_KEY", "completions", 2
    )  # fmt: skip
    assert dict(teacher.ask.choices) == {"entailment": "Yes"}
    assert not teacher.runs_here
    assert not teacher.is_trained_here
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(actual))
    assert load_spec(again) == actual


@pytest.mark.parametrize(
    ("teacher", "key", "words"),
    [
        ("{endpoint: 'localhost:8000', model: a}", "teacher.endpoint", "is not an address"),
        ("{endpoint: 'http://', model: a}", "teacher.endpoint", "is not an address"),
        ("{endpoint: 'http://me:sk-1@host/v1', model: a}", "teacher.endpoint", "no user, password"),
        ("{endpoint: 'http://host/v1?key=sk-1', model: a}", "teacher.endpoint", "no user"),
        (f"{{endpoint: '{URL}'}}", "teacher.model", "has a name there"),
        (f"{{endpoint: '{URL}', model: {{family: bert, layers: 1, hidden: 8, heads: 2}}}}",
         "teacher.model", "has a name there"),
        (f"{{endpoint: '{URL}', checkpoint: a}}", "teacher.model", "has a name there"),
        (f"{{endpoint: '{URL}', model: a, outputs: {{logits: p}}}}", "teacher.outputs", "not both"),
        (f"{{endpoint: '{URL}', model: a, finetune: {{epochs: 2}}}}", "teacher.finetune",
         "teacher.endpoint is queried for its answers"),
        (f"{{endpoint: '{URL}', model: a, precision: bf16}}", "teacher.precision", "runs here"),
        ("{model: a, ask: {concurrent: 2}}", "teacher.ask", "there is none"),
        (f"{{endpoint: '{URL}', model: a, ask: {{key: sk-1234}}}}", "teacher.ask.key",
         "the name of an environment variable, and this is none"),
        (f"{{endpoint: '{URL}', model: a, ask: {{prompt: 'a {{label}}'}}}}", "teacher.ask.prompt",
         "a place {label}, expected {text}"),
        (f"{{endpoint: '{URL}', model: a, ask: {{prompt: 'a {{'}}}}", "teacher.ask.prompt",
         "that does not end"),
        (f"{{endpoint: '{URL}', model: a, ask: {{score_by: choices}}}}", "teacher.ask.score_by",
         "does not work through interface: chat"),
        (f"{{endpoint: '{URL}', model: a, ask: {{concurrent: 0}}}}", "teacher.ask.concurrent",
         "must be >= 1"),
        (f"{{endpoint: '{URL}', model: a, ask: {{concurent: 1}}}}", "teacher.ask.concurent",
         "unknown key"),
    ],
)  # fmt: skip
def test_what_will_not_do_is_refused_with_its_place(tmp_path, teacher, key, words):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, teacher)
    actual = [p for p in caught.value.problems() if p.path == key]
    assert [words in p.message for p in actual] == [True], caught.value.problems()
    assert actual[0].line == 3
    # What may be a secret is repeated nowhere, nor is its line.
    assert not any("sk-1" in p.render() for p in caught.value.problems())
