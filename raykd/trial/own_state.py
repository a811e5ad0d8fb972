"""The saved state of a trial, which belongs to one attempt at it."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
from pathlib import Path

from raykd.trial.run import TrialConfig


def with_own_state(config: TrialConfig, attempt: int, *, takes_over: bool) -> TrialConfig:
    """The trial with a state file of this attempt, copied from an earlier one if there is any.

    A worker that lost its job may still be at it: two writers of one file would mix their states.
    Where the run folder is not on this machine there is no state to continue from.
    """
    if config.state_path is None:
        return config
    path = Path(config.state_path)
    if not path.parents[1].is_dir():
        return dataclasses.replace(config, state_path=None)
    own = path.with_name(f"{path.stem}.{attempt}{path.suffix}")
    if takes_over:
        with contextlib.suppress(FileNotFoundError):  # its owner has just finished, or saves again
            saved = path.parent.glob(f"{glob.escape(path.stem)}*{path.suffix}")
            newest = max(saved, key=lambda file: file.stat().st_mtime, default=own)
            os.replace(newest, own)
    return dataclasses.replace(config, state_path=str(own))
