"""The option that allows the code which a file names to be imported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raykd import user_code

AllowImports = Annotated[
    bool,
    typer.Option(user_code.ALLOW, help="Run code that the file names, wherever it is."),
]


def limit_imports(allow: bool, *folders: Path) -> None:
    """Import code of the user's from these folders alone, unless all is allowed."""
    if allow:
        user_code.allow_all()
    else:
        user_code.limit_to(*folders)
