"""``python -m docs_pages [--check]``: writes the generated pages, or fails where one is stale."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType

import docs_pages
from docs_pages.wrap import wrapped


def pages() -> Iterator[ModuleType]:
    """The modules that are a page."""
    for found in pkgutil.iter_modules(docs_pages.__path__):
        if found.name in ("__main__", "hooks"):  # hooks needs MkDocs
            continue
        module = importlib.import_module(f"docs_pages.{found.name}")
        if hasattr(module, "PATH"):
            yield module


def text_of(page: ModuleType) -> str:
    """What the page is to say."""
    text: str = page.text()
    return wrapped(text) if page.PATH.suffix == ".md" else text


def stale() -> list[str]:
    """Generated pages whose text is not what the code says now."""
    return [
        str(page.PATH.relative_to(docs_pages.ROOT))
        for page in pages()
        if not page.PATH.exists() or page.PATH.read_text(encoding="utf-8") != text_of(page)
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` name those that are stale; returns the exit code."""
    if arguments == ["--check"]:
        found = stale()
        for path in found:
            print(f"{path} is stale: run make docs-pages", file=sys.stderr)
        return 1 if found else 0
    for page in pages():
        page.PATH.write_text(text_of(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
