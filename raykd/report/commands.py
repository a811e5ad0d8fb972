"""Command lines that the report names, where it says which run folder it was made from."""

from __future__ import annotations

import shlex

from raykd.results.records import TrialResult


def again(trial: TrialResult) -> str:
    """The command that trains a trial again; empty where the run folder is not known.

    In a comparison of runs, ids begin with the run.
    """
    if not trial.sweep:
        return ""
    run, _, name = trial.trial_id.rpartition("/")
    return shlex.join(["raykd", "trial", f"runs/{run or trial.sweep}", "--trial", name])
