"""The page of the example notebook: its cells and what they gave when it was executed."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from docs_pages import DOCS

PATH = DOCS / "how-to" / "notebook.md"
NOTEBOOK = PATH.with_suffix(".ipynb")
WIDTH = 96
"""Characters of a line of output."""
HEAD = """\
# Work in a notebook

Generated from [an executed notebook](notebook.ipynb) by `make docs-pages`; do not edit this page.
To change it, edit the notebook and run `python -m docs_pages.run_notebook`. Open it with JupyterLab
or VS Code in an environment with raykd and its extra: `pip install 'raykd[notebook]'`.
"""


def text() -> str:
    """The whole page."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return "\n".join([HEAD, *(part for cell in cells for part in _cell(cell))]).rstrip() + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield f"{source}\n"
        return
    yield f"```python\n{source}\n```\n"
    shown = "\n".join(filter(None, map(_shown, cell["outputs"])))
    if shown:
        yield f"```text\n{shown}\n```\n"


def _shown(output: dict[str, Any]) -> str:
    """An output as text, in lines that fit the page."""
    text = output.get("text") or output.get("data", {}).get("text/plain") or ""
    lines = "".join(text).rstrip().splitlines()
    return "\n".join("\n".join(_wrapped(line.rstrip())) for line in lines)


def _wrapped(line: str) -> list[str]:
    parts = textwrap.wrap(line, WIDTH, drop_whitespace=False, subsequent_indent="    ")
    return [part.rstrip() for part in parts] or [""]
