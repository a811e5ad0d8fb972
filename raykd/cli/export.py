"""``raykd export``: the confirmed student of a run as a folder with a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.completions import runs
from raykd.cli.output import Output


def export(
    output: Output,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", autocompletion=runs)],
    to: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.")],
    task: Annotated[str | None, typer.Option(help="The task, if several.")] = None,
    arm: Annotated[
        str | None, typer.Option(help="The arm; without it, the one that the verdict takes.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="NAME", help="As model hubs name it.")
    ] = None,
) -> None:
    """Write the confirmed student of an arm with a model card that says where it comes from."""
    from raykd.export.chosen import choose
    from raykd.export.student import export as write

    student = choose(run, task, arm)
    folder = write(student, to, licence)
    if output.is_json:
        trial = student.trial
        output.record({"folder": str(folder), "task": trial.task, "arm": trial.arm,
                       "trial": trial.trial_id})  # fmt: skip
        return
    output.text(f"student: {folder} ({student.trial.arm} on {student.trial.task})")
    output.text(f"model card: {folder / 'README.md'}")
