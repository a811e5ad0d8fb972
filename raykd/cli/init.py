"""``raykd init``: a search space to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.completions import search_spaces
from raykd.cli.names import shipped
from raykd.cli.output import Output
from raykd.errors import SetupError, SpecError, UnknownName

DEFAULT = "quickstart"


def init(
    output: Output,
    name: Annotated[
        str, typer.Argument(help="Which shipped search space.", autocompletion=search_spaces)
    ] = DEFAULT,
    to: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Where to write it. [default: NAME.yaml]"
        ),
    ] = None,
) -> None:
    """Copy a shipped search space, comments included."""
    available = shipped()
    if name not in available:
        from raykd.registry import suggestion

        hint = suggestion(name, list(available)) or f"one of {', '.join(available)}"
        raise UnknownName(f"there is no shipped search space '{name}'", hint=hint)
    target = to or Path(f"{name}.yaml")
    if target.exists():
        raise SpecError(f"{target} exists already", hint="choose another file with -o")
    try:
        target.write_text(available[name].read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as exc:
        raise SetupError(f"cannot write {target}: {exc.strerror}") from exc
    if output.is_json:
        output.record({"name": name, "file": str(target)})
    else:
        output.text(str(target))
    output.note(f"next: raykd validate {target}")
