"""What names things on disk is the same in every process: nothing depends on the seed of hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raykd.models.tokenizers import train_tokenizer
from raykd.teachers.digest import code_digest, digest
from tests.unit.models.test_tokenizers import TEXTS
from tests.unit.task_setup.test_set_up import fingerprint

ROOT = Path(__file__).parents[2]
CODE = "from tests.unit.test_other_process import found\nimport json\nprint(json.dumps(found()))"


def actual() -> dict[str, Any]:
    return {
        "fingerprint": fingerprint(),
        "vocabulary": sorted(train_tokenizer(TEXTS, 80).get_vocab().items()),
        "digest": [digest({"a": [1, "b"]}, 2.5), code_digest("raykd.models.signals.ragged")],
    }


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, Any], dict[str, Any]]:
    """What is found here, and in another process."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "5"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(json.dumps(actual())), json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("what", ["fingerprint", "vocabulary", "digest"])
def test_it_is_the_same_in_another_process(what, both):
    here, there = both
    assert here[what] == there[what]
