"""``raykd init``: a search space to start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from raykd.cli.completions import search_spaces
from raykd.cli.names import shipped
from raykd.cli.output import Output
from raykd.errors import SetupError, SpecError, UnknownName

DEFAULT = "quickstart"
SCHEMA = "schema.json"
MODELINE = f"# yaml-language-server: $schema={SCHEMA}\n"
"""The first line of a file, by which editors know where its schema is."""


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
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="DATA", help="Propose one for a folder, file or pattern."),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="MODEL", help="With --from: the teacher.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="With --from: the label.")
    ] = None,
) -> None:
    """Copy a shipped search space, comments included, or propose one for your own data."""
    if source is not None:
        _propose(source, teacher or "", label or "", to, output)
        return
    if teacher is not None or label is not None:
        raise SpecError("--teacher and --label need --from", hint="raykd init --from DATA")
    available = shipped()
    if name not in available:
        from raykd.registry import suggestion

        hint = suggestion(name, list(available)) or f"one of {', '.join(available)}"
        raise UnknownName(f"there is no shipped search space '{name}'", hint=hint)
    target = to or Path(f"{name}.yaml")
    _write(target, available[name].read_text(encoding="utf-8"), output)
    if output.is_json:
        output.record({"name": name, "file": str(target)})
    else:
        output.text(str(target))
    output.note(f"next: raykd validate {target}")


def _propose(source: str, teacher: str, label: str, to: Path | None, output: Output) -> None:
    """Write a search space for data of the user's, and say what was guessed."""
    from raykd.home_folder import stand_in

    stand_in()  # before Transformers is imported
    from raykd.proposal.propose import propose
    from raykd.proposal.text import to_text

    made = propose(source, teacher, label)
    target = to or Path(f"{made.name}.yaml")
    _write(target, MODELINE + to_text(made), output)
    if output.is_json:
        output.record({"name": made.name, "file": str(target), "guessed": made.guessed})
    else:
        output.text(str(target))
        for guess in made.guessed:
            output.text(f"  {guess}")
    for note in made.notes:
        output.note(f"note: {note}")
    output.note(f"next: raykd data {target}, then raykd sweep {target}")


def _write(target: Path, text: str, output: Output) -> None:
    """Write a new file, and the schema that its first line names, where there is none.

    Raises:
        SpecError: There is one of that name.
        SetupError: It cannot be written.
    """
    if target.exists():
        raise SpecError(f"{target} exists already", hint="choose another file with -o")
    from raykd.spec.json_schema import file_schema

    schema = json.dumps(file_schema(), indent=2, ensure_ascii=False) + "\n"
    schema_file = target.with_name(SCHEMA)
    try:
        target.write_text(text, encoding="utf-8")
        if not schema_file.exists():
            schema_file.write_text(schema, encoding="utf-8")
        elif schema_file.read_text(encoding="utf-8", errors="replace") != schema:
            output.note(
                f"note: {schema_file} is another one; raykd schema > {schema_file} renews it"
            )
    except OSError as exc:
        raise SetupError(f"cannot write {target}: {exc.strerror}") from exc
