"""The table of layers in the architecture page, from the rules that the tests enforce."""

from __future__ import annotations

import ast
import re

from docs_pages import DOCS, ROOT
from docs_pages.markdown import table
from tests.test_layering import LAYERS

PATH = DOCS / "explanation" / "architecture.md"
BLOCK = re.compile(r"^\| layer \|.*?(?=\n\n)", re.MULTILINE | re.DOTALL)
HEAD = ("layer", "owns", "may import of raykd", "packages", "inside functions")


def text() -> str:
    """The architecture page with a current table."""
    rows = [
        (
            f"`{name}`",
            _owns(name),
            ", ".join(
                [*sorted(layer.raykd - {"__init__"}), *(f"({m})" for m in sorted(layer.types))]
            ),
            ", ".join(sorted(layer.packages)),
            ", ".join(sorted(layer.later)),
        )
        for name, layer in LAYERS.items()
        if not name.startswith("__")
    ]
    current = "\n".join(table(HEAD, rows))
    return BLOCK.sub(lambda _: current, PATH.read_text(encoding="utf-8"), count=1)


def _owns(layer: str) -> str:
    """The first line of the docstring of a layer, without its full stop."""
    package = ROOT / "raykd" / layer / "__init__.py"
    file = package if package.exists() else ROOT / "raykd" / f"{layer}.py"
    documented = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(documented.split("\n\n")[0].split()).removesuffix(".")
