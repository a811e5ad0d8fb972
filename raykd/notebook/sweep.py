"""`sweep` from Python: a search space as a file, a mapping or an object; its run as an object."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raykd.cli.console import Console, open_console
from raykd.cli.output import Output
from raykd.errors import SpecError
from raykd.notebook.kernel import in_notebook
from raykd.notebook.progress import NotebookView
from raykd.notebook.run import Run
from raykd.results.event_log import Listener
from raykd.results.store_address import is_address
from raykd.spec.dump import as_text
from raykd.spec.load import load_spec, to_yaml
from raykd.spec.schema import SweepSpec
from raykd.spec.yaml_loader import read_text
from raykd.sweep.run import SweepOptions, run_sweep


def sweep(
    source: str | Path | SweepSpec | Mapping[str, Any],
    *,
    out: str | Path = "runs",
    address: str | None = None,
    overrides: Sequence[str] = (),
    listener: Listener | None = None,
    progress: bool | None = None,
) -> Run:
    """Run a search space and return its run; the Python form of ``raykd sweep``.

    Args:
        source: A search-space file, the same as a mapping, or a loaded one.
        out: Folder of run folders, on this machine.
        address: Ray cluster to use; None starts a local one (or uses a connection that exists).
        overrides: ``a.b=c`` changes to it.
        listener: Called with every event.
        progress: Whether to show how the sweep gets on: in a notebook as a display that is redrawn
            in place, elsewhere as the command does. None shows it in a notebook only.

    Raises:
        SpecError: The search space is wrong.
        SetupError: Cluster, disk, models or data cannot be reached.
        SweepFailed: No trial completed.
    """
    if is_address(str(out)):
        raise SpecError(
            f"raykd.sweep keeps runs on this machine, got out='{out}'",
            hint="raykd sweep FILE --out URL keeps them in a store",
        )
    spec, text = read(source, overrides)
    options = SweepOptions(out=Path(out), address=address)
    with _console(progress) as console:

        def hear(event: Mapping[str, Any]) -> None:
            console.handle(event)
            if listener is not None:
                listener(event)

        return Run(run_sweep(spec, text, options, hear))


def _console(progress: bool | None) -> Console:
    if in_notebook() and progress is not False:
        return NotebookView()
    return open_console(Output(quiet=not progress))


def read(
    source: str | Path | SweepSpec | Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[SweepSpec, str]:
    """A search space and its text, checked as a file is.

    Raises:
        SpecError: It is wrong; places are those of the mapping as it would stand in a file.
    """
    if isinstance(source, SweepSpec):  # its parts may have been replaced without a check
        text = to_yaml(source)
    elif isinstance(source, Mapping):
        text = as_text(json.loads(json.dumps(source, default=_plain)))
    else:
        return load_spec(source, overrides), read_text(source)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "search_space.yaml")
        file.write_text(text, encoding="utf-8")
        return load_spec(file, overrides), text


def _plain(value: Any) -> Any:  # a number of NumPy or torch, a path
    return value.item() if hasattr(value, "item") else str(value)
