"""Whatever stands in the files of a run folder: its results, or an error that says what is wrong.

``RAYKD_FUZZ=5000 pytest tests/unit/results/test_fuzz_runs.py`` tries that many, other ones every
time; without it 150 are tried, always the same.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from raykd.cli.ls import meaning_of
from raykd.cli.main import main
from raykd.errors import RaykdError
from raykd.results.diagnose import diagnose
from raykd.results.export import as_csv, as_json
from raykd.results.store import load_results
from raykd.results.verdict import verdict
from raykd.sweep.run_folder import reopen
from tests.synthetic_run import write_run

LONGEST_S = 4.0
"""Of processor time, for all of a case; the first one imports what draws pages."""

CASES = int(os.environ.get("RAYKD_FUZZ", "0"))
VALUES = st.sampled_from([
    None, True, 0, -1, 1.5, 1e308, 10**400, float("nan"), float("inf"), "", "x", "\ud800", "=1+1",
    "../../x", [], [1], {}, {"a": None}, [[[[]]]],
])  # fmt: skip
COUNT = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("fuzz") / "run").folder


@pytest.fixture(scope="module")
def run(whole, tmp_path_factory):
    return Path(shutil.copytree(whole, tmp_path_factory.mktemp("changed") / "run"))


def changed(plain, draw):
    """Plain data with one of its values replaced, taken out, or given another name."""
    here, place = {"": plain}, ""
    owner = here
    while isinstance(owner[place], dict | list) and owner[place] and draw(st.integers(0, 4)):
        owner = owner[place]
        keys = list(owner) if isinstance(owner, dict) else range(len(owner))
        place = keys[draw(COUNT) % len(keys)]
    if isinstance(owner, dict) and not draw(st.integers(0, 3)) and owner is not here:
        del owner[place]
    else:
        owner[place] = draw(VALUES)
    return here[""]


def shown(*arguments):
    """What a command prints; its exit code is one of those that say what is wrong, or 0."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*map(str, arguments)])
    assert code in (0, 1, 2, 4), err.getvalue()
    assert "Traceback" not in err.getvalue()
    assert "bug in raykd" not in err.getvalue()
    assert code == 0 or err.getvalue().strip()
    return out.getvalue()


def listed(folder):
    assert meaning_of("runs", str(folder)).strip()


def resumed(folder):
    shown("sweep", "--resume", folder, "--trials", "9", "--dry-run", "--no-data")


def drawn(folder):
    shown("report", folder, "--out", folder.parent / "page.html")


COMMANDS = (
    {57: drawn} | dict.fromkeys(range(21, 31), listed) | dict.fromkeys(range(31, 41), resumed)
)
"""One of them after some of the cases; a page takes a second."""


def read(folder):
    """All that commands make of a run folder as data."""
    result = load_results(folder)
    as_json(result)
    as_csv(result).encode("utf-8", "replace")
    for task in result.tasks:
        verdict(result, task.name)
    diagnose(result)


def test_a_teacher_without_anything_is_refused_by_name(run, whole):
    text = (whole / "resolved.json").read_text()
    plain = json.loads(text)
    plain["teacher"]["model"] = None
    (run / "resolved.json").write_text(json.dumps(plain))
    try:
        resumed(run)
        with pytest.raises(RaykdError, match="a teacher without a model"):
            reopen(run)
    finally:
        (run / "resolved.json").write_text(text)


SETTINGS = settings(
    max_examples=CASES or 150, derandomize=not CASES, database=None, deadline=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
)  # fmt: skip


@SETTINGS
@given(data=st.data(), name=st.sampled_from(["events.jsonl", "resolved.json", "env.json"]))
def test_changed_values(whole, run, data, name):
    command = COMMANDS.get(data.draw(st.integers(0, 79)))
    text = (whole / name).read_text()
    lines = text.splitlines() if name == "events.jsonl" else [text]
    at = data.draw(COUNT) % len(lines)
    lines[at] = json.dumps(changed(json.loads(lines[at]), data.draw))
    (run / name).write_text("\n".join(lines) + "\n")
    try:
        began = time.process_time()
        with contextlib.suppress(RaykdError):
            read(run)
        if command is not None:
            command(run)
        assert time.process_time() - began < LONGEST_S
    finally:
        (run / name).write_text(text)
