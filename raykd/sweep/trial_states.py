"""The saved states of trials in a run folder: deleted once the end of a trial is on record."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterable
from pathlib import Path

from raykd.results.records import Status
from raykd.results.store import load_results

FOLDER = "state"
"""Where they are in a run folder."""


def drop_states(folder: Path, names: Iterable[str]) -> None:
    """Delete the states of trials, those of every attempt.

    Args:
        folder: Where they are.
        names: What the names of the files of each trial begin with, up to a dot.

    Raises:
        OSError: One cannot be deleted.
    """
    for name in names:
        for file in folder.glob(f"{glob.escape(name)}.*"):
            file.unlink(missing_ok=True)


def drop_ended(run: Path) -> None:
    """Delete what is left of trials that have ended, as far as that is possible.

    A driver that is killed right after it has recorded an end leaves some, and so does a worker
    that had lost its job and did not know it yet.

    Args:
        run: The run folder.
    """
    folder = run / FOLDER
    with contextlib.suppress(OSError):
        if any(folder.iterdir()):
            ended = [t for t in load_results(run).trials if t.status is not Status.INTERRUPTED]
            drop_states(folder, (trial.trial_id for trial in ended))
