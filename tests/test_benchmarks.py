"""Benchmarks run: each is imported, takes its arguments, and writes valid search spaces."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raykd.spec.load import load_spec
from raykd.spec.schema import SweepSpec
from tests.benchmarks import (
    _tiny,
    driver_memory,
    many_trials,
    naive_sweep,
    quickstart_again,
    start_up,
    teacher_growth,
    text_arms,
    token_caches,
)
from tests.benchmarks._tiny import NO_DATA, TINY, names

ROOT = Path(__file__).parents[1]


def test_each_has_a_tiny_size():
    assert names() == list(TINY)


def test_each_is_imported_and_has_what_its_tiny_size_changes():
    wrong = []
    for name in names():
        module = _tiny.load(name)
        wrong += [] if callable(getattr(module, "main", None)) else [f"{name}: no main()"]
        wrong += [
            f"{name}: {constant} is {getattr(module, constant, 'not there')!r}"
            for constant, value in TINY[name].constants.items()
            if type(getattr(module, constant, None)) is not type(value)
        ]
    assert not wrong


class _Parsed(Exception):
    """Arguments were taken, and nothing was run."""


def test_each_takes_the_arguments_of_its_tiny_size(monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def parsed(*given: Any) -> None:
        parse(*given)
        raise _Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    taking = [n for n in names() if hasattr(_tiny.load(n), "argparse")]
    assert len(taking) > 10
    for name in taking:
        monkeypatch.setattr(sys, "argv", [name, *TINY[name].arguments.split()])
        with pytest.raises(_Parsed):
            _tiny.load(name).main()


def test_the_search_spaces_that_they_write_are_valid(tmp_path):
    startup = tmp_path / "start_up.yaml"
    startup.write_text(start_up.SPACE)
    spaces: list[SweepSpec] = [
        load_spec(startup),
        load_spec(driver_memory.write_spec(tmp_path, tmp_path / "teacher")),
        *(load_spec(many_trials.write_spec(tmp_path, 4, kind, 1.0)) for kind in many_trials._TASKS),
        load_spec(quickstart_again.FILE),
        teacher_growth.space(tmp_path),
        text_arms.space(text_arms.ARMS, 48, epochs=1, evaluations=1, folder=tmp_path),
        *(
            token_caches.space({"model": token_caches.TEACHER}, c, 24, 0.5, tmp_path, tmp_path)
            for c in token_caches.CACHES
        ),
        *(
            naive_sweep.space(task, student, 1, {"checkpoint": "teacher"}, tmp_path, 40, 2)
            for task in naive_sweep.TASKS
            for student in naive_sweep.STUDENTS
        ),
    ]
    assert all(space.methods for space in spaces)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_each_runs_at_its_tiny_size(name):
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks._tiny", name],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    if done.returncode == NO_DATA:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()


def test_a_name_that_is_none_is_refused():
    from tests.benchmarks.__main__ import main

    assert main(["--tiny", "nosuch"]) == 2
