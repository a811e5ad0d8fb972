"""``python -m docs_pages.run_notebook``: executes the example notebook and keeps its outputs.

The cells are edited in the notebook itself. It keeps a hash of the cells that its outputs belong
to, so that a cell that was changed and not executed is found by the tests.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

from docs_pages import DOCS, ROOT

NOTEBOOK = DOCS / "how-to" / "notebook.ipynb"
LIMIT_S = 540
_RUN = re.compile(r"runs/(?P<name>[\w-]+)-\d{8}-\d{6}")
_KEPT = ("text/plain", "text/html")
"""Kinds of output that are kept."""


def read() -> Any:  # a notebook
    """The notebook as it is."""
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    """Its cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def hash_of(notebook: Any) -> str:
    """A hash of the sources of its code."""
    sources = "\n\0".join(cell.source for cell in code_cells(notebook))
    return hashlib.sha256(sources.encode()).hexdigest()[:16]


def executed(notebook: Any) -> Any:
    """The same notebook after a run in a kernel of its own, in a folder that is deleted.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "RAYKD_CACHE": str(Path(folder, "cache")),
        }  # fmt: skip
        client = NotebookClient(
            notebook,
            timeout=LIMIT_S,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    for cell in code_cells(notebook):
        cell.metadata.pop("execution", None)  # times
        cell.outputs = [_plain(output) for output in cell.outputs]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "raykd": {"cells": hash_of(notebook)},
    }
    return notebook


def _plain(output: Any) -> Any:
    """An output without what depends on the day or the machine."""
    if "text" in output:
        output.text = _RUN.sub(r"runs/\g<name>-DATE-TIME", output.text)
    if "data" in output:
        output.data = {
            kind: _RUN.sub(r"runs/\g<name>-DATE-TIME", text)
            for kind, text in output.data.items()
            if kind in _KEPT
        }
    output.pop("transient", None)
    return output


def main() -> int:
    """Execute the notebook and write it; returns the exit code."""
    nbformat.write(executed(read()), NOTEBOOK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
