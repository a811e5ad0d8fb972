"""Help and usage errors answer at once: nothing heavy is imported for them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "ray", "transformers", "datasets", "optuna", "plotly", "scipy", "pandas",
         "numpy", "pyarrow", "ruamel"}  # fmt: skip


def imported(*arguments: str) -> tuple[set[str], int]:
    """Top-level packages that a command imports, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "raykd", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = re.findall(r"^import time:.*\|\s*([\w.]+)$", done.stderr, flags=re.MULTILINE)
    assert "raykd.cli.main" in names, done.stderr[-2000:]
    return {name.partition(".")[0] for name in names}, done.returncode


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_does_not_even_import_pydantic(arguments):
    names, code = imported(*arguments)
    assert code == 0
    assert not names & {*HEAVY, "pydantic"}


# Typer converts the values of a command with pydantic, which costs a tenth of a second.
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["sweep", "--help"], 0), (["ls"], 0), (["validate"], 2), (["nosuch"], 2),
        (["validate", "--nosuch", "f"], 2), (["ls", "nosuch"], 2), (["init", "nosuch"], 2),
        (["cluster", "--help"], 0), (["cluster", "check", "nosuch.yaml"], 2),
    ],
)  # fmt: skip
def test_light_commands_import_nothing_heavy(arguments, code):
    names, returned = imported(*arguments)
    assert returned == code
    assert not names & HEAVY


def test_validate_pays_for_torch_at_most():
    names, code = imported(
        "validate", "--no-data", "search_spaces/quickstart.yaml", "search_spaces/ckd_glue.yaml"
    )
    assert code == 0
    assert not names & {"ray", "transformers", "datasets"}


def test_looking_at_data_and_models_starts_no_ray():
    names, code = imported("validate", "search_spaces/quickstart.yaml", "--set", "data.limit=200")
    assert code == 0
    assert "transformers" in names
    assert not names & {"ray", "plotly"}
