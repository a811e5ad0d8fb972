"""Help and usage errors answer at once: nothing heavy is imported for them.

All commands run one after the other in one new process, the lightest first. What a module has
imported stays, so none may import what a later one may not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "ray", "transformers", "datasets", "optuna", "plotly", "scipy", "pandas",
         "numpy", "pyarrow", "ruamel"}  # fmt: skip
# Each with its exit code.
PLAIN = ((["--help"], 0), (["--version"], 0))
# Typer converts the values of a command with pydantic, which costs a tenth of a second.
LIGHT = (
    (["sweep", "--help"], 0), (["ls"], 0), (["validate"], 2), (["nosuch"], 2),
    (["validate", "--nosuch", "f"], 2), (["ls", "nosuch"], 2), (["init", "nosuch"], 2),
    (["cluster", "--help"], 0), (["cluster", "check", "nosuch.yaml"], 2),
)  # fmt: skip
VALIDATED = (
    ["validate", "--no-data", "search_spaces/quickstart.yaml", "search_spaces/ckd_glue.yaml"], 0
)  # fmt: skip
LOOKED_AT = (["validate", "search_spaces/quickstart.yaml", "--set", "data.limit=200"], 0)
COMPLETED = tuple(
    (["complete", f"raykd {words}"], 0)
    for words in ("sw", "init q", "ls m", "report r", "trial search_spaces/quickstart.yaml --arm k")
)
COMMANDS = (*PLAIN, *LIGHT, *COMPLETED, VALIDATED, LOOKED_AT)
RUN = """
import json, os, sys
from raykd.cli.main import main

def complete(words):
    os.environ |= {"_RAYKD_COMPLETE": "complete_bash", "COMP_WORDS": words,
                   "COMP_CWORD": str(words.count(" "))}
    try:
        main([])
    except SystemExit as exc:
        return exc.code
    finally:
        del os.environ["_RAYKD_COMPLETE"]

found = []
for arguments in json.loads(sys.argv[1]):
    code = complete(arguments[1]) if arguments[0] == "complete" else main(arguments)
    found.append([code, sorted({name.partition(".")[0] for name in sys.modules})])
sys.stdout.flush()
print("\\n" + json.dumps(found))
"""


@dataclass(frozen=True)
class Seen:
    """What one command left: its exit code, and all packages that are imported by then."""

    code: int
    packages: set[str]


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([arguments for arguments, _ in COMMANDS])],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    actual: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return {
        " ".join(arguments): Seen(code, set(packages))
        for (arguments, _), (code, packages) in zip(COMMANDS, actual, strict=True)
    }


def test_help_does_not_even_import_pydantic(seen):
    for arguments, code in PLAIN:
        of = seen[" ".join(arguments)]
        assert of.code == code
        assert "raykd" in of.packages
        assert not of.packages & {*HEAVY, "pydantic"}, arguments


def test_light_commands_import_nothing_heavy(seen):
    for arguments, code in LIGHT:
        of = seen[" ".join(arguments)]
        assert of.code == code, arguments
        assert not of.packages & HEAVY, arguments


def test_completion_answers_at_once(seen):
    for arguments, code in COMPLETED:
        of = seen[" ".join(arguments)]
        assert of.code == code, arguments
        assert not of.packages & (HEAVY - {"ruamel"}), arguments


def test_validate_pays_for_torch_at_most(seen):
    of = seen[" ".join(VALIDATED[0])]
    assert of.code == 0
    assert not of.packages & {"ray", "transformers", "datasets"}


def test_looking_at_data_and_models_starts_no_ray(seen):
    of = seen[" ".join(LOOKED_AT[0])]
    assert of.code == 0
    assert "transformers" in of.packages
    assert not of.packages & {"ray", "plotly"}
