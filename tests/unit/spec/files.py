"""Writes small search spaces for the tests of the reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from raykd.errors import Problem, SpecError
from raykd.spec.load import load_spec

SAMPLE = "tests.unit.spec.sample_method"
HEAD = """\
name: small
tasks: [toy/sentiment]
teacher:
  model: {family: bert, layers: 2, hidden: 96, heads: 2}
student:
  model: {family: bert, layers: 1, hidden: 48, heads: 2}
train:
  lr: {loguniform: [1e-5, 1e-4]}
"""
ARMS = f"""\
methods:
  one:
    method: {SAMPLE}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, overrides: Sequence[str] = ()) -> list[Problem]:
    """What is found wrong with a file."""
    with pytest.raises(SpecError) as caught:
        load_spec(write(folder, text), overrides)
    return list(caught.value.problems())


def only(folder: Path, text: str, overrides: Sequence[str] = ()) -> Problem:
    """The one problem of a file."""
    actual = problems(folder, text, overrides)
    assert len(actual) == 1, [p.render() for p in actual]
    return actual[0]


def place(problem: Problem) -> tuple[int, int, str]:
    return problem.line, problem.column, problem.path
