"""``raykd trial``: one trial in this process, for debugging; or a trial of a run again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raykd.cli.completions import arms
from raykd.cli.imports import AllowImports, limit_imports
from raykd.cli.output import Output
from raykd.errors import DataError, SpecError

if TYPE_CHECKING:
    from raykd.params import Scalar
    from raykd.results.records import Evaluation, TrialResult
    from raykd.spec.schema import SweepSpec


@dataclass(frozen=True, kw_only=True)
class TrialArguments:
    """What may be typed after ``raykd trial``."""

    source: Annotated[
        Path, typer.Argument(metavar="FILE|RUN", help="A search space, or a run folder.")
    ]
    arm: Annotated[str | None, typer.Option("--arm", help="The arm.", autocompletion=arms)] = None
    task: Annotated[str | None, typer.Option("--task", help="The task, if several.")] = None
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A parameter of method or training."),
    ] = None
    again: Annotated[
        str | None, typer.Option("--trial", metavar="ID", help="This trial of the run again.")
    ] = None
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the trial.")
    ] = None
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")
    ] = None
    allow_imports: AllowImports = False


def trial(output: Output, typed: TrialArguments) -> None:
    """Run one trial here, without Ray: errors come with their full traceback under -v."""
    from raykd.spec.load import placed
    from raykd.sweep.in_process import prepare_task, run_in_process, trial_of

    folder = typed.source.parent if typed.source.is_file() else Path.cwd()
    limit_imports(typed.allow_imports, folder)
    spec, chosen = _chosen(typed)
    config = trial_of(spec, Path("runs"), chosen.task, chosen.arm, chosen.parameters, chosen.repeat)
    if chosen.seed is not None:
        config = replace(config, seed=chosen.seed)
    if chosen.precision is not None:
        config = replace(config, precision=chosen.precision)

    def progress(phase: str, done: int, total: int, detail: str) -> None:
        output.note(f"teacher {phase} {done:,}/{total:,} {detail}".rstrip())

    def on_evaluation(evaluation: Evaluation) -> None:
        output.note(_line(evaluation))

    try:
        setup, prepared, _ = prepare_task(
            spec, config.task, None, progress, lambda note: output.note(f"note: {note}")
        )
    except (SpecError, DataError) as exc:
        if typed.again is not None:
            raise
        overrides = typed.override or ()
        problems = [placed(problem, typed.source, overrides) for problem in exc.problems()]
        raise exc.with_problems(problems) from exc
    outcome = run_in_process(config, prepared, setup.task, on_evaluation)
    if output.is_json:
        output.record({"params": {**config.coefficients, **config.train}, "seed": config.seed,
                       "metrics": dict(outcome.metrics), "seconds": outcome.seconds})  # fmt: skip
        return
    output.note(_line(outcome.evaluation))
    output.facts({name: f"{value:.4f}" for name, value in outcome.metrics.items()})


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """The trial to run; None: as in every search trial."""

    task: str
    arm: str
    parameters: dict[str, Scalar]
    seed: int | None
    precision: str | None = None
    repeat: int = 0


def _chosen(typed: TrialArguments) -> tuple[SweepSpec, _Chosen]:
    """The search space, and what was chosen of it: an earlier trial, or one of a named arm."""
    from raykd.spec.load import load_spec
    from raykd.sweep.run_folder import reopen

    given = _parameters(typed.param or ())
    if typed.again is not None:
        spec, _ = reopen(typed.source)
        earlier = _earlier(typed.source, typed.again)
        return spec, _Chosen(
            task=earlier.task,
            arm=earlier.arm,
            parameters={**earlier.params, **given},
            seed=earlier.seed if typed.seed is None else typed.seed,
            precision=earlier.precision,
            repeat=earlier.repeat,
        )
    spec = load_spec(typed.source, typed.override or ())
    if typed.arm is None:
        raise SpecError("--arm is missing", hint=f"one of: {', '.join(spec.methods)}")
    task = typed.task or spec.tasks[0]
    return spec, _Chosen(task=task, arm=typed.arm, parameters=given, seed=typed.seed)


def _parameters(given: list[str] | tuple[str, ...]) -> dict[str, Scalar]:
    """Values by name, read as in a search space."""
    from raykd.spec.yaml_loader import parse
    from raykd.spec.yaml_nodes import Findings, Source

    parameters: dict[str, Scalar] = {}
    for entry in given:
        name, sign, text = entry.partition("=")
        source, findings = Source(name="--param", lines=(f"--param {entry}",)), Findings()
        node = parse(text, source, findings, offset=len(f"--param {name}="))
        findings.raise_any()
        if not sign or not name or (node is not None and not node.is_scalar):
            raise SpecError(f"--param {entry}: expected NAME=VALUE", hint="e.g. --param alpha=0.5")
        parameters[name] = None if node is None else node.scalar()
    return parameters


def _earlier(run: Path, wanted: str) -> TrialResult:
    from raykd.registry import suggestion
    from raykd.results.store import load_results

    trials = load_results(run).trials
    earlier = next((t for t in reversed(trials) if t.trial_id == wanted), None)
    if earlier is None:
        names = tuple(t.trial_id for t in trials)
        raise SpecError(
            f"the run has no trial '{wanted}'",
            hint=suggestion(wanted, names)
            or "they are listed in the report, section 'Every trial'",
        )
    return earlier


def _line(evaluation: Evaluation) -> str:
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in evaluation.metrics.items())
    terms = "  ".join(f"{name} {value:.4f}" for name, value in evaluation.terms.items())
    return f"epoch {evaluation.epoch:g}  {metrics}  |  {terms}"
