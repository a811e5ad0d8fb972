"""``raykd eval``: confirmed students on tasks from elsewhere, and row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.completions import runs
from raykd.cli.output import Output
from raykd.cli.run_paths import run_to_write
from raykd.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Harness:
    """How the harness is run."""

    include_path: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder with tasks of your own.")
    ] = None
    shots: Annotated[
        int | None, typer.Option(min=0, help="Examples before each row; what the task says.")
    ] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Most rows of a task.")] = None
    batch_size: Annotated[int, typer.Option(min=1, help="Rows in a pass.")] = 8
    device: Annotated[str, typer.Option(help="As torch names it; a GPU where there is one.")] = ""


def eval(
    output: Output,
    folder: Annotated[
        str, typer.Argument(metavar="RUN", help="A run folder.", autocompletion=runs)
    ],
    harness: Harness,
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- TASK...", help="Tasks of lm-evaluation-harness."),
    ] = None,
    arm: Annotated[
        list[str] | None, typer.Option(metavar="ARM", help="Students of this arm only.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what each student predicted for each test row."),
    ] = None,
) -> None:
    """Evaluate the confirmed students of a run elsewhere; the scores are in its next report."""
    from raykd.results.store import load_results

    if not tasks and predictions is None:
        raise SpecError("no task was named", hint="raykd eval RUN -- arc_easy, or --predictions")
    run = run_to_write(folder)
    result = load_results(run)
    if predictions is not None:
        from raykd.results.predictions import write_predictions

        count = write_predictions(result, run, predictions)
        output.text(f"predictions: {predictions} ({count:,} rows)")
    if not tasks:
        return
    from raykd.harness.lm_eval import HarnessSettings, evaluate
    from raykd.harness.students import SavedStudent, left_out, saved_students
    from raykd.results.outside import write_outside
    from raykd.results.outside_score import OutsideScore

    students = saved_students(result, run, arm or ())
    for _, reason in left_out(result, run, arm or ()):
        output.note(f"left out: {reason}")

    def on_scores(student: SavedStudent, scores: tuple[OutsideScore, ...]) -> None:
        write_outside(run, scores)
        for score in scores:
            output.text(f"{score.trial_id}  {score.benchmark}  {score.metric} {score.value:.4g}")

    def on_student(student: SavedStudent) -> None:
        place = students.index(student) + 1
        output.note(f"evaluating {student.trial.trial_id} ({place} of {len(students)})")

    settings = HarnessSettings(
        tasks=tuple(tasks), include=harness.include_path, shots=harness.shots,
        limit=harness.limit, batch_size=harness.batch_size, device=harness.device,
    )  # fmt: skip
    evaluate(students, settings, on_scores, on_student)
    output.text(f"scores: {run / 'evaluations.json'}; raykd report {run} shows them")
