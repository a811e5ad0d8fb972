"""``raykd teacher``: prepare the teachers of a search space, list and prune the cache."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.imports import AllowImports, limit_imports
from raykd.cli.output import Output
from raykd.errors import DataError, SpecError


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
    allow_imports: AllowImports = False,
) -> None:
    """Prepare the teachers of a search space in this process and keep them in the cache."""
    if show or prune is not None:
        _list_cache(output, prune)
    if file is not None:
        limit_imports(allow_imports, file.parent)
        _prepare(output, file, override or ())
    elif not show and prune is None:
        raise SpecError("FILE is missing", hint="name a search space, or use --list or --prune")


def _list_cache(output: Output, prune: float | None) -> None:
    """List the cache, after deleting what was requested."""
    from raykd.teachers.user_cache import (
        cache_folder,
        cached_extras,
        cached_teachers,
        prune_teachers,
    )

    if prune is not None:
        for pruned in prune_teachers(int(prune * 1e9)):
            output.note(f"deleted {pruned.name} ({_mb(pruned.nbytes)}): {pruned.path.name}")
    teachers, extras = cached_teachers(), cached_extras()
    if output.is_json:
        for entry in teachers:
            output.record({
                "task": entry.task, "metrics": dict(entry.about.metrics), "used": entry.used,
                "bytes": entry.nbytes, "folder": str(entry.folder), "weights_bytes": entry.weights,
                "parts": {part.name: part.nbytes for part in entry.parts},
            })  # fmt: skip
        for kept in extras:
            output.record({"task": "", "what": kept.name, "used": kept.used, "bytes": kept.nbytes,
                           "folder": str(kept.path)})  # fmt: skip
        return
    rows = [
        (
            entry.folder.name,
            entry.task,
            _mb(entry.weights) if entry.weights else "none of its own",
            f"{len(entry.parts)}, {_mb(entry.recordings)}",
            _day(entry.used),
            ", ".join(
                f"{k} {v:.4f}" for k, v in entry.about.metrics.items() if k.startswith("test/")
            ),
        )
        for entry in teachers
    ]
    rows += [(kept.path.name, kept.name, "", _mb(kept.nbytes), _day(kept.used), "")
             for kept in extras]  # fmt: skip
    heads = ("fingerprint", "task", "weights", "recordings and other parts", "last used", "scores")
    output.table(heads, rows)
    total = sum(entry.nbytes for entry in teachers) + sum(kept.nbytes for kept in extras)
    output.text(f"{len(teachers)} teachers, {_mb(total)} in {cache_folder()}")


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _day(stamp: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(stamp))


def _prepare(output: Output, file: Path, override: Sequence[str]) -> None:
    from raykd.spec.load import load_spec, placed
    from raykd.sweep.in_process import prepared_teacher

    spec = load_spec(file, override)

    def progress(phase: str, done: int, total: int, detail: str) -> None:
        output.note(f"{phase} {done:,}/{total:,} {detail}".rstrip())

    every = [name for name, one in spec.teachers.items() if not one.members] or [""]
    for task, name in itertools.product(spec.tasks, every):
        try:
            made = prepared_teacher(
                spec, task, progress, lambda note: output.note(f"note: {note}"), name
            )
        except (SpecError, DataError) as exc:
            problems = [placed(p, file, override) for p in exc.problems()]
            raise exc.with_problems(problems) from exc
        if output.is_json:
            output.record({"task": task, "teacher": name, "cached": made.cached,
                           "metrics": dict(made.metrics), "fingerprint": made.fingerprint,
                           "folder": made.folder})  # fmt: skip
            continue
        scores = ", ".join(f"{name} {value:.4f}" for name, value in made.metrics.items())
        output.text(f"{task}: {'from the cache' if made.cached else 'prepared'}; {scores}")
        output.text(f"teacher: {made.folder}")
