"""Files as people bring them: each is read with the right classes and texts, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykd.data.base import DataSettings
from raykd.data.tasks.dolly import TASK as DOLLY
from tests.cases.data_case import Refused, check_refused, fill, read
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
