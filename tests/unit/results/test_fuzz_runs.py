"""Whatever stands in the files of a run folder: its results, or an error that says what is wrong.

``RAYKD_FUZZ=5000 pytest tests/unit/results/test_fuzz_runs.py`` tries that many, other ones every
time; without it some hundred are tried, always the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from raykd.errors import RaykdError
from raykd.results.diagnose import diagnose
from raykd.results.export import as_csv, as_json
from raykd.results.store import load_results
from raykd.results.verdict import verdict
from tests.synthetic_run import write_run

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


def read(folder):
    """All that commands make of a run folder, but the page."""
    result = load_results(folder)
    as_json(result)
    as_csv(result).encode("utf-8", "replace")
    for task in result.tasks:
        verdict(result, task.name)
    diagnose(result)


SETTINGS = settings(
    max_examples=CASES or 150, derandomize=not CASES, database=None, deadline=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
)  # fmt: skip


@SETTINGS
@given(data=st.data(), name=st.sampled_from(["events.jsonl", "resolved.json", "env.json"]))
def test_changed_values(whole, run, data, name):
    text = (whole / name).read_text()
    lines = text.splitlines() if name == "events.jsonl" else [text]
    at = data.draw(COUNT) % len(lines)
    lines[at] = json.dumps(changed(json.loads(lines[at]), data.draw))
    (run / name).write_text("\n".join(lines) + "\n")
    try:
        with contextlib.suppress(RaykdError):
            read(run)
    finally:
        (run / name).write_text(text)
