"""Every key of a text task of the user's own changes what it says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from raykd.data.base import NO_LABEL
from raykd.spec.schema import OwnTaskSpec
from raykd.task_setup.set_up import TaskSetup, set_up_task, setup_notes
from tests.unit.sweep.specs import spec

WRITER = {"family": "gpt2", "layers": 1, "heads": 2, "vocabulary": 320, "max_positions": 128}
OWN = {"name": "own", "kind": "text", "prompt": "q", "response": "a", "path": "rows"}
OF_CHATS = {"name": "own", "kind": "text", "messages": "m", "path": "rows"}

PLAIN = {"prompt": OWN, "messages": OF_CHATS}
KEYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "prompt": (OWN, {"prompt": "q2"}),
    "context": (OWN, {"context": "c"}),
    "response": (OWN, {"response": "a2"}),
    "messages": (OF_CHATS, {"messages": "m2"}),
    "system": (OWN, {"system": "be kind"}),
    "template": (OWN, {"template": "Q: {prompt}"}),
    "template_args": (
        OWN | {"template": "{{ messages[0].content }}{{ mark }}{% if messages|length > 1 %}"
               "{{ messages[1].content }}{% endif %}", "template_args": {"mark": "x"}},
        {"template_args": {"mark": "y"}},
    ),
    "loss_on": (OF_CHATS, {"loss_on": "all"}),
    "too_long": (OWN | {"prompt": "long"}, {"too_long": "drop"}),
    "max_prompt_length": (OWN | {"prompt": "long"}, {"max_prompt_length": 20}),
    "max_new_tokens": (OWN, {"max_new_tokens": 7}),
    "pattern": (OWN | {"metrics": ["matched"], "pattern": "a"}, {"pattern": "b"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "rows").mkdir()
    for split, count in (("train", 12), ("validation", 4)):
        lines = []
        for k in range(count):
            turns = [("user", f"hi {k}"), ("assistant", "yo"), ("user", "so"), ("assistant", "ba")]
            chat = [{"role": role, "content": text} for role, text in turns]
            row = {
                "q": f"what is {k}", "q2": f"who is {k}", "c": "some text", "a": f"a {k} b",
                "a2": f"no {k}", "m": chat, "m2": chat[:2], "long": "x " * (4 + 9 * k),
            }  # fmt: skip
            lines.append(json.dumps(row))
        (folder / "rows" / f"{split}.jsonl").write_text("\n".join(lines))
    return folder


def set_up(own: dict[str, Any]) -> TaskSetup:
    made = spec(
        tasks=["own"], own_tasks={"own": own}, data__max_length=96, data__student_rows=None,
        teacher__model={**WRITER, "hidden": 16}, student__model={**WRITER, "hidden": 8},
        methods={"sft": {"name": "sft", "method": "sft"}}, report__baseline="sft",
    )  # fmt: skip
    return set_up_task(made, "own")


def picture(own: dict[str, Any]) -> dict[str, Any]:
    """What students read and learn, and how they are scored."""
    setup = set_up(own)
    train, tokens = setup.student_splits["train"], setup.tokenizers.student
    references = setup.student_splits["test"].references
    assert references is not None
    return {
        "rows": len(train),
        "read": tokens.decode(train.input_ids),
        "learnt": tokens.decode(train.labels[train.labels != NO_LABEL]),
        "length": setup.task.max_new_tokens,
        "scores": setup.task.score_texts(["b"] * len(references.answers), references),
    }


def test_every_key_of_a_text_task_changes_what_it_says(folder, monkeypatch):
    assert set(KEYS) == set(OwnTaskSpec.KEYS["text"])
    monkeypatch.chdir(folder)
    plain = {name: picture(own) for name, own in PLAIN.items()}
    same = []
    for key, (own, changes) in KEYS.items():
        before = next((plain[name] for name, of in PLAIN.items() if of == own), None)
        if picture(own | changes) == (before or picture(own)):
            same.append(key)
    assert not same


def test_what_is_cut_is_counted_and_said(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def notes(**changes: str) -> list[str]:
        setup = set_up(OWN | changes)
        assert not any("longer than data.max_length" in note for note in setup.notes)
        said = [note for note, _ in setup_notes(setup) if "longer than data.max_length" in note]
        rows, tokens = setup.rows["train"].fields["turns"], setup.tokenizers.student
        lengths = [len(tokens(turns[0].content)["input_ids"]) for turns in rows]
        # A prompt may have half of a row.
        assert sum(length > 48 for length in lengths) == (7 if "prompt" in changes else 0)
        return said

    assert notes() == []
    words = "7 of 11 train rows are longer than data.max_length (96) allows and are cut (the end of"
    assert notes(prompt="long") == [f"{words} the prompt first)"]
    assert notes(prompt="long", context="c") == [f"{words} the context first)"]
    (said,) = notes(response="long")
    assert said.startswith("2 of 11 train rows are longer")
    assert said.endswith("; in 2 train rows the response loses its end")


def test_what_is_left_out_is_reported_and_the_rest_is_whole(folder, monkeypatch):
    monkeypatch.chdir(folder)
    setup = set_up(OWN | {"prompt": "long", "too_long": "drop"})
    assert any("finetune rows are left out" in note for note in setup.notes)
    for encoded in setup.student_splits.values():
        assert encoded.truncated == 0
        assert np.diff(encoded.offsets).max() < 96
