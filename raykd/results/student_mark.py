"""Whose student is in a folder: a mark in it, which appears and goes with its weights.

A driver that is killed between giving a student its folder and recording the end of its confirm run
leaves a record of an earlier configuration next to the weights of a later one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raykd.results.confirmed import configuration_key
from raykd.results.records import TrialResult

MARK = "trial.json"
"""Name of the file."""


def mark(folder: Path, trial_id: str, params: Mapping[str, Any]) -> None:
    """Say in the folder of a student which configuration it was trained with.

    Raises:
        OSError: It cannot be written.
    """
    text = json.dumps({"trial_id": trial_id, "params": configuration_key(params)})
    (folder / MARK).write_text(text + "\n", encoding="utf-8")


def is_student_of(folder: Path, trial: TrialResult) -> bool:
    """Whether nothing in the folder says that another configuration was trained.

    A folder without a mark is of an older version, and its record is all there is.
    """
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, RecursionError):
        return False
    wanted = {"trial_id": trial.trial_id, "params": configuration_key(trial.params)}
    return bool(mark == wanted)
