"""``raykd teacher``: prepare the teachers of a search space, list and prune the cache."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.output import Output
from raykd.errors import SpecError


def teacher(
    output: Output,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A search space.", show_default=False)
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the teachers in the cache.")] = False,
    prune: Annotated[
        float | None,
        typer.Option(
            metavar="GB", min=0.0, help="Delete those not used for longest until GB are left."
        ),
    ] = None,
) -> None:
    """Prepare the teachers of a search space in this process and keep them in the cache."""
    if show or prune is not None:
        _shelve(output, prune)
    if file is not None:
        _prepare(output, file, override or ())
    elif not show and prune is None:
        raise SpecError("FILE is missing", hint="name a search space, or use --list or --prune")


def _shelve(output: Output, prune: float | None) -> None:
    """List the cache, after deleting what was asked for."""
    from raykd.sweep.places import cache_folder, cached_teachers, prune_teachers

    if prune is not None:
        for entry in prune_teachers(int(prune * 1e9)):
            output.note(f"deleted {entry.task} ({entry.nbytes / 1e6:,.1f} MB): {entry.folder.name}")
    found = cached_teachers()
    if output.is_json:
        for entry in found:
            output.record({"task": entry.task, "metrics": dict(entry.metrics), "used": entry.used,
                           "bytes": entry.nbytes, "folder": str(entry.folder)})  # fmt: skip
        return
    rows = [
        (
            entry.folder.name,
            entry.task,
            f"{entry.nbytes / 1e6:,.1f} MB",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)),
            ", ".join(f"{k} {v:.4f}" for k, v in entry.metrics.items() if k.startswith("report")),
        )
        for entry in found
    ]
    output.table(("fingerprint", "task", "size", "last used", "scores"), rows)
    total = sum(entry.nbytes for entry in found)
    output.text(f"{len(found)} teachers, {total / 1e6:,.1f} MB in {cache_folder()}")


def _prepare(output: Output, file: Path, override: Sequence[str]) -> None:
    from raykd.spec.load import load_spec, placed
    from raykd.sweep.local import prepare_task
    from raykd.sweep.places import cache_folder

    spec = load_spec(file, override)

    def progress(phase: str, done: int, total: int, detail: str) -> None:
        output.note(f"{phase} {done:,}/{total:,} {detail}".rstrip())

    for task in spec.tasks:
        try:
            _, prepared, cached = prepare_task(
                spec, task, cache_folder(), progress, lambda said: output.note(f"note: {said}")
            )
        except SpecError as exc:
            found = [placed(p, file, override) for p in exc.problems()]
            raise SpecError(found=found) from exc
        folder = cache_folder() / prepared.fingerprint / "teacher"
        if output.is_json:
            output.record({"task": task, "cached": cached, "metrics": dict(prepared.metrics),
                           "fingerprint": prepared.fingerprint, "folder": str(folder)})  # fmt: skip
            continue
        scores = ", ".join(f"{name} {value:.4f}" for name, value in prepared.metrics.items())
        output.text(f"{task}: {'from the cache' if cached else 'prepared'}; {scores}")
        output.text(f"teacher: {folder}")
