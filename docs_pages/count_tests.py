"""``python -m docs_pages.count_tests [COMMIT]``: tests and assertions by folder, then and now.

Counted by reading, so that no test is imported: functions whose name begins with ``test_``, and
what they and the helpers next to them assert (``assert``, ``pytest.raises``, ``pytest.warns``).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from docs_pages import ROOT
from docs_pages.markdown import table

BEFORE = "43d691e"
"""The last commit before the suite was made faster."""


def main(arguments: list[str]) -> int:
    """Print the table; returns the exit code."""
    (commit,) = arguments or [BEFORE]
    before, now = (counted(sources) for sources in (_of_commit(commit), _of_tree()))
    rows = [_row(folder, before, now) for folder in sorted({*before, *now} - {"all"})]
    head = ("folder", "tests then", "tests now", "assertions then", "assertions now")
    print("\n".join(table(head, [*rows, _row("all", before, now)])))
    return 0


def counted(sources: Iterable[tuple[str, str]]) -> dict[str, Counter[str]]:
    """Tests and assertions by folder, and of all folders.

    Args:
        sources: Path and text of each file.
    """
    counts: dict[str, Counter[str]] = {}
    for path, source in sources:
        parts = path.split("/")[:-1]
        folder = "/".join(parts[:2])
        for node in ast.walk(ast.parse(source)):
            kind = _kind(node)
            if kind:
                for name in (folder, "all"):
                    counts.setdefault(name, Counter())[kind] += 1
    return counts


def _kind(node: ast.AST) -> str:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return "tests" if name.startswith("test_") else ""
        case ast.Assert():
            return "assertions"
        case ast.withitem(context_expr=ast.Call(func=ast.Attribute(attr="raises" | "warns"))):
            return "assertions"
    return ""


def _row(folder: str, *counts: dict[str, Counter[str]]) -> tuple[str, ...]:
    cells = (
        f"{of.get(folder, Counter())[kind]:,}" for kind in ("tests", "assertions") for of in counts
    )
    return (f"`{folder}`" if folder != "all" else "all", *cells)


def _of_tree() -> Iterator[tuple[str, str]]:
    for path in sorted(ROOT.glob("tests/**/*.py")):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def _of_commit(commit: str) -> Iterator[tuple[str, str]]:
    listed = _git("ls-tree", "-r", "--name-only", commit, "tests")
    for path in listed.splitlines():
        if path.endswith(".py"):
            yield path, _git("show", f"{commit}:{path}")


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
