"""``raykd data``: the rows of a search space as its students read them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from raykd.cli.imports import AllowImports, limit_imports
from raykd.cli.output import Output
from raykd.errors import SpecError

if TYPE_CHECKING:
    from raykd.task_setup.data_overview import DataOverview

_MOST_CLASSES = 40


def data(
    output: Output,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A search space.")],
    task: Annotated[str | None, typer.Option(help="The task, if several.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Rows that are shown.")] = 3,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")
    ] = None,
    allow_imports: AllowImports = False,
) -> None:
    """Show the rows of a search space: how many, how long, which classes, what is cut, samples."""
    from raykd.errors import RaykdError
    from raykd.spec.load import load_spec, placed
    from raykd.task_setup.data_overview import data_overview

    limit_imports(allow_imports)
    spec = load_spec(file, override or ())
    if task is not None and task not in spec.tasks:
        raise SpecError(f"there is no task '{task}'", hint=f"one of {', '.join(spec.tasks)}")
    for name in (task,) if task is not None else spec.tasks:
        try:
            overview = data_overview(spec, name, samples)
        except RaykdError as exc:
            problems = [placed(problem, file, override or ()) for problem in exc.problems()]
            raise exc.with_problems(problems) from exc
        if output.is_json:
            output.record(dataclasses.asdict(overview))
        else:
            _print(overview, output)


def _print(overview: DataOverview, output: Output) -> None:
    output.text(f"{overview.task}: {overview.source}")
    _print_rows(overview, output)
    if overview.classes:
        output.text("")
        _print_classes(overview, output)
    for k, sample in enumerate(overview.samples, start=1):
        output.text("")
        output.text(f"sample {k} of train, as the student reads it:")
        output.text("\n".join(f"  | {line}" for line in sample.read.split("\n")))
        output.text("  learnt:")
        output.text("\n".join(f"  > {line}" for line in sample.learnt.split("\n")))
    if overview.missing:
        output.note(f"tokens NOT LOOKED AT: {overview.missing}")
    for note in overview.notes:
        output.note(f"note: {note}")


def _print_rows(overview: DataOverview, output: Output) -> None:
    columns = ["rows for", "rows"]
    if overview.without_label:
        columns.append("without label")
    if overview.lengths:
        columns += ["median tokens", "95 %", "longest", f"cut at {overview.max_length}"]
    rows = []
    for role, count in overview.rows.items():
        row = [role, f"{count:,}"]
        if overview.without_label:
            row.append(f"{overview.without_label.get(role, 0):,}")
        if role in overview.lengths:
            of = overview.lengths[role]
            row += [f"{of.median:,}", f"{of.most:,}", f"{of.longest:,}", f"{of.cut:,}"]
        rows.append(row + [""] * (len(columns) - len(row)))
    output.table(columns, rows)


def _print_classes(overview: DataOverview, output: Output) -> None:
    shown = dict(list(overview.classes.items())[:_MOST_CLASSES])
    table = [[label, *(f"{n:,}" for n in of.values())] for label, of in shown.items()]
    first = "class" if overview.counted == "rows" else f"class of {overview.counted}"
    output.table([first, *overview.rows], table)
    if len(shown) < len(overview.classes):
        output.text(f"  and {len(overview.classes) - len(shown)} classes more (--format json)")
