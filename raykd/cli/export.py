"""``raykd export``: the confirmed student of a run as a folder with a model card."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raykd.cli.completions import arms_of_run, runs, tasks_of_run
from raykd.cli.output import Output
from raykd.cli.run_paths import STUDENTS, run_to_read
from raykd.errors import SpecError

if TYPE_CHECKING:
    from raykd.export.chosen import ChosenStudent


@dataclass(frozen=True, kw_only=True)
class ToHub:
    """Whether and where the student is published."""

    push_to_hub: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Also make this repository on the model hub, private."),
    ] = None
    public: Annotated[
        bool, typer.Option("--public", help="With --push-to-hub: everybody may see it.")
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; say what would go.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What the card says of licences."""

    licence: Annotated[
        str | None, typer.Option("--licence", metavar="NAME", help="As model hubs name it.")
    ] = None
    teacher_licence: Annotated[
        str | None, typer.Option(metavar="NAME", help="That of the teacher, for the card.")
    ] = None
    data_licence: Annotated[
        str | None, typer.Option(metavar="NAME", help="That of the data, for the card.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """What is measured of the student, and written next to the weights."""

    measure: Annotated[
        bool, typer.Option("--measure", help="Time a pass of the student, for the card.")
    ] = False

    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also as ONNX, compared with the weights.")
    ] = False
    int8: Annotated[
        bool, typer.Option("--int8", help="Also as ONNX with weights of 8 bits; implies --onnx.")
    ] = False

    @property
    def any(self) -> bool:
        """Whether there are graphs."""
        return self.onnx or self.int8


def export(
    output: Output,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run folder or URL.", autocompletion=runs)
    ],
    to: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write.")],
    hub: ToHub,
    graphs: Graphs,
    stated: Stated,
    task: Annotated[
        str | None, typer.Option(help="The task, if several.", autocompletion=tasks_of_run)
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(
            help="The arm; without it, the one that the verdict takes.", autocompletion=arms_of_run
        ),
    ] = None,
) -> None:
    """Write the confirmed student of an arm with a model card that says where it comes from."""
    from raykd.export.chosen import choose
    from raykd.export.hub import check_access, check_base, check_name, push
    from raykd.export.licences import Licences
    from raykd.export.onnx_files import check_onnx, names, write_onnx
    from raykd.export.opened import measure, refuse_adapter
    from raykd.export.student import check_target, planned
    from raykd.export.student import export as write

    if hub.public and hub.push_to_hub is None:
        raise SpecError("--public goes with --push-to-hub", hint="--push-to-hub NAME --public")
    student = choose(run_to_read(run, STUDENTS), task, arm)
    check_target(to)
    if hub.push_to_hub is not None:
        check_base(student.folder)
        (check_name if hub.dry_run else check_access)(hub.push_to_hub)
    if graphs.any:
        check_onnx(student.folder)
    elif graphs.measure:
        refuse_adapter(student.folder, "--measure times")
    licences = Licences(
        student=stated.licence, teacher=stated.teacher_licence, data=stated.data_licence
    )
    if hub.dry_run:
        files: dict[str, int | None] = dict(planned(student, licences))
        files |= dict.fromkeys(names(int8=graphs.int8) if graphs.any else ())
        _show_plan(output, student, to, files, hub)
        return
    onnx = functools.partial(write_onnx, int8=graphs.int8) if graphs.any else None
    folder = write(student, to, licences, onnx or (measure if graphs.measure else None))
    address = ""
    if hub.push_to_hub is not None:
        address = push(folder, hub.push_to_hub, is_private=not hub.public)
    if output.is_json:
        output.record({"folder": str(folder), **_named(student), "hub": address or None})
        return
    output.text(f"student: {folder} ({student.trial.arm} on {student.trial.task})")
    output.text(f"model card: {folder / 'README.md'}")
    if address:
        output.text(f"hub: {address} ({_seen_by(hub)})")


def _show_plan(
    output: Output, student: ChosenStudent, to: Path, files: dict[str, int | None], hub: ToHub
) -> None:
    """What would be written, and where it would go; what is made only then has no size."""
    if output.is_json:
        output.record({"folder": str(to), **_named(student), "files": files,
                       "hub": hub.push_to_hub})  # fmt: skip
        return
    output.text(f"student: {to} ({student.trial.arm} on {student.trial.task}), not written")
    for name, size in files.items():
        output.text(f"  {name}  {f'{size:,} bytes' if size is not None else 'to be made'}")
    output.text(f"  {len(files)} files, {sum(size or 0 for size in files.values()):,} bytes")
    if hub.push_to_hub is not None:
        output.text(f"hub: {hub.push_to_hub} ({_seen_by(hub)}), not made")


def _named(student: ChosenStudent) -> dict[str, str]:
    trial = student.trial
    return {"task": trial.task, "arm": trial.arm, "trial": trial.trial_id}


def _seen_by(hub: ToHub) -> str:
    return "public" if hub.public else "private"
