"""Files as people bring them: each is read with the right classes and texts, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raykd.data.base import DataSettings
from raykd.data.tasks.dolly import TASK as DOLLY
from raykd.errors import DataError
from raykd.spec.load import load_spec
from raykd.task_setup.tasks import task_of
from tests.cases.data_case import SPACE, Refused, check_refused, fill, read
from tests.cases.file_cases import FILE_CASES
from tests.cases.label_cases import LABEL_CASES
from tests.cases.response_cases import RESPONSES

CASES = FILE_CASES | LABEL_CASES


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_its_outcome(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = CASES[name]
    fill(Path("data"), case.files)
    if isinstance(case.outcome, Refused):
        check_refused(case.outcome, lambda: read(case))
    else:
        rows = read(case)
        assert rows.labels.tolist() == list(case.outcome.labels)
        assert list(rows.texts[0]) == list(case.outcome.texts)


@pytest.mark.parametrize("name", RESPONSES)
def test_responses_are_read_or_refused(name, tmp_path):
    file, content, wanted = RESPONSES[name]
    fill(tmp_path / "dolly", {file: content})
    settings = DataSettings(root=str(tmp_path))
    if isinstance(wanted, Refused):
        check_refused(wanted, lambda: DOLLY.load("train", settings))
    else:
        assert list(DOLLY.load("train", settings).texts[1]) == list(wanted)


CHAT = """
from dataclasses import dataclass
from raykd.data.text_generation import Example, GenerationTask, rows_of

@dataclass(frozen=True, kw_only=True)
class Chat(GenerationTask):
    def read_table(self, table):
        examples = []
        for *turns, last in table.column("messages"):
            before = "".join(f"{turn['role']}: {turn['content']}\\n" for turn in turns)
            examples.append(Example(before=before + "assistant: ", response=last["content"]))
        return rows_of(examples, table)

TASK = Chat(name="chats", about="Chats.", hub=("me/chats", "default"))
"""


def test_a_task_in_python_reads_the_files_that_others_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "chat_case").mkdir()
    (tmp_path / "chat_case" / "chat_task.py").write_text(CHAT)
    Path("space.yaml").write_text(SPACE.format(task="chat_case.chat_task"), encoding="utf-8")
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello.\u2028Well?"},
    ]
    silent = [turns[0], {"role": "assistant", "content": None}]
    lines = [json.dumps({"messages": of}, ensure_ascii=False) for of in (turns, turns, silent)]
    fill(tmp_path / "chats", {"train.jsonl": "\n".join(lines[:2]), "dev.jsonl": "\n".join(lines)})
    spec = load_spec("space.yaml")
    task, settings = task_of(spec, spec.tasks[0]), DataSettings(root=str(tmp_path))
    rows = task.load("train", settings)
    assert rows.texts == (("user: Hi\nassistant: ",) * 2, ("Hello.\u2028Well?",) * 2)
    with pytest.raises(DataError, match=r"dev\.jsonl line 3: 'response' of its example is nothing"):
        task.load("dev", settings)
