"""``raykd teacher``: prepare and cache the teachers of a search space, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.output import Output
from raykd.errors import SpecError


def teacher(
    output: Output,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A search space.")],
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a value.")
    ] = None,
) -> None:
    """Prepare the teachers of a search space in this process and keep them in the cache."""
    from raykd.spec.load import load_spec, placed
    from raykd.sweep.local import prepare_task
    from raykd.sweep.places import cache_folder

    spec = load_spec(file, override or ())

    def progress(phase: str, done: int, total: int, detail: str) -> None:
        output.note(f"{phase} {done:,}/{total:,} {detail}".rstrip())

    for task in spec.tasks:
        try:
            _, prepared, cached = prepare_task(spec, task, cache_folder(), progress)
        except SpecError as exc:
            found = [placed(p, file, override or ()) for p in exc.problems()]
            raise SpecError(found=found) from exc
        folder = cache_folder() / prepared.fingerprint / "teacher"
        if output.is_json:
            output.record({"task": task, "cached": cached, "metrics": dict(prepared.metrics),
                           "fingerprint": prepared.fingerprint, "folder": str(folder)})  # fmt: skip
            continue
        scores = ", ".join(f"{name} {value:.4f}" for name, value in prepared.metrics.items())
        output.text(f"{task}: {'from the cache' if cached else 'prepared'}; {scores}")
        output.text(f"teacher: {folder}")
