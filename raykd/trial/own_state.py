"""The saved state of a trial, which belongs to one attempt at it."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Callable
from pathlib import Path

from raykd.trial.run import TrialConfig
from raykd.whole_file import reason


def with_own_state(
    config: TrialConfig,
    attempt: int,
    *,
    takes_over: bool,
    note: Callable[[str], None] = lambda message: None,
) -> TrialConfig:
    """The trial with a state file of this attempt, copied from an earlier one if there is any.

    A worker that lost its job may still be at it: two writers of one file would mix their states.
    Where the run folder is not on this machine there is no state to continue from.

    Args:
        config: The trial, with the name that its states have in common.
        attempt: Number of this attempt.
        takes_over: Whether to give an earlier state the name of this attempt.
        note: Hears of a state that cannot be taken over, so that the training starts again.
    """
    if config.state_path is None:
        return config
    path = Path(config.state_path)
    if not os.path.isdir(path.parents[1]):  # or it is closed to this user
        return dataclasses.replace(config, state_path=None)
    own = path.with_name(f"{path.stem}.{attempt}{path.suffix}")
    if takes_over:
        try:
            saved = path.parent.glob(f"{glob.escape(path.stem)}*{path.suffix}")
            newest = max(saved, key=lambda file: file.stat().st_mtime, default=own)
            os.replace(newest, own)
        except FileNotFoundError:  # there is none, or its owner saves again
            pass
        except OSError as exc:  # a disk that is full or read-only; a state is not a result
            note(f"its saved state cannot be taken over: {reason(exc)}; it is trained without it")
    return dataclasses.replace(config, state_path=str(own))
