"""``raykd trial``: one trial in this process, for debugging; or a trial of a run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raykd.cli.completions import arms
from raykd.cli.output import Output
from raykd.errors import DataError, SpecError

if TYPE_CHECKING:
    from raykd.params import Scalar
    from raykd.results.records import Evaluation, TrialResult


def trial(
    output: Output,
    source: Annotated[
        Path, typer.Argument(metavar="FILE|RUN", help="A search space, or a run folder.")
    ],
    arm: Annotated[str | None, typer.Option("--arm", help="The arm.", autocompletion=arms)] = None,
    task: Annotated[str | None, typer.Option("--task", help="The task, if several.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A parameter of method or training."),
    ] = None,
    again: Annotated[
        str | None, typer.Option("--trial", metavar="ID", help="This trial of the run again.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the trial.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")
    ] = None,
) -> None:
    """Run one trial here, without Ray: errors come with their full traceback under -v."""
    import dataclasses

    from raykd.spec.load import load_spec, placed
    from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
    from raykd.sweep.run_folder import reopen

    given = _parameters(param or ())
    if again is not None:
        spec, _ = reopen(source)
        earlier = _earlier(source, again)
        task, arm = earlier.task, earlier.arm
        given = {**earlier.params, **given}
        seed = earlier.seed if seed is None else seed
    else:
        spec = load_spec(source, override or ())
    if arm is None:
        raise SpecError("--arm is missing", hint=f"one of: {', '.join(spec.methods)}")
    task = task or spec.tasks[0]
    config = trial_of(spec, Path("runs"), task, arm, given)
    if seed is not None:
        config = dataclasses.replace(config, seed=seed)
    if again is not None:
        config = dataclasses.replace(config, precision=earlier.precision)

    def progress(phase: str, done: int, total: int, detail: str) -> None:
        output.note(f"teacher {phase} {done:,}/{total:,} {detail}".rstrip())

    def on_evaluation(evaluation: Evaluation) -> None:
        output.note(_line(evaluation))

    try:
        setup, prepared, _ = prepare_task(
            spec, task, None, progress, lambda said: output.note(f"note: {said}")
        )
    except (SpecError, DataError) as exc:
        if again is not None:
            raise
        found = [placed(problem, source, override or ()) for problem in exc.problems()]
        raise exc.with_problems(found) from exc
    outcome = run_in_process(config, prepared, setup.task, on_evaluation)
    if output.is_json:
        output.record({"params": {**config.coefficients, **config.train}, "seed": config.seed,
                       "metrics": dict(outcome.metrics), "seconds": outcome.seconds})  # fmt: skip
        return
    output.note(_line(outcome.evaluation))
    output.facts({name: f"{value:.4f}" for name, value in outcome.metrics.items()})


def _parameters(given: list[str] | tuple[str, ...]) -> dict[str, Scalar]:
    """Values by name, read as in a search space."""
    from raykd.spec.yaml_loader import parse
    from raykd.spec.yaml_nodes import Findings, Source

    found: dict[str, Scalar] = {}
    for entry in given:
        name, sign, text = entry.partition("=")
        source, findings = Source(name="--param", lines=(f"--param {entry}",)), Findings()
        node = parse(text, source, findings, offset=len(f"--param {name}="))
        findings.raise_any()
        if not sign or not name or (node is not None and not node.is_scalar):
            raise SpecError(f"--param {entry}: expected NAME=VALUE", hint="e.g. --param alpha=0.5")
        found[name] = None if node is None else node.scalar()
    return found


def _earlier(run: Path, wanted: str) -> TrialResult:
    from raykd.registry import suggestion
    from raykd.results.store import load_results

    trials = load_results(run).trials
    found = next((t for t in reversed(trials) if t.trial_id == wanted), None)
    if found is None:
        names = tuple(t.trial_id for t in trials)
        raise SpecError(
            f"the run has no trial '{wanted}'",
            hint=suggestion(wanted, names)
            or "they are listed in the report, section 'Every trial'",
        )
    return found


def _line(evaluation: Evaluation) -> str:
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items())
    terms = "  ".join(f"{name} {value:.4f}" for name, value in evaluation.terms.items())
    return f"epoch {evaluation.epoch:g}  {metrics}  |  {terms}"
