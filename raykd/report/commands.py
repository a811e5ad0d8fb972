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


def export(trial: TrialResult) -> str:
    """The command that copies the student of a trial, with a model card."""
    where = ["--task", trial.task, "--arm", own_name(trial.arm)]
    return shlex.join(["raykd", "export", f"runs/{trial.sweep}", "DIR", *where])


def own_name(arm: str) -> str:
    """What an arm is called in its run: in a comparison, its name begins with that of the run."""
    return arm.rpartition("/")[2]
