"""What the build of the site adds to MkDocs: pages of source files, and a Mermaid of its own.

Documents link to files of the repository next to them. On the site, each of these files is a page:
Markdown as it is, other text as a listing. A link to a file that does not exist is a warning, and
warnings fail a strict build.

Mermaid comes from the package ``mmdc``, which holds upstream's ``mermaid.min.js``. Only pages with
a diagram load it, from the site itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

from docs_pages import DOCS, ROOT

log = logging.getLogger("mkdocs.hooks.docs_pages")

MERMAID = "assets/mermaid.min.js"
MERMAID_SHA256 = "07e37dfa97b337ccc85365d57eddf99b9706f09db3b59b260d0333b23b343c4b"
"""Of ``dist/mermaid.min.js`` in mermaid 11.12.0 as upstream published it."""

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash", ".json": "json"}


def on_files(files: Files, config: Any) -> Files:
    """Add Mermaid and a page for every file of the repository that a page links to."""
    files.append(File.generated(config, MERMAID, content=_mermaid()))
    todo = [Path(file.abs_src_path) for file in files if file.src_uri.endswith(".md")]
    todo.append(ROOT / "CONTRIBUTING.md")
    seen: set[Path] = set(todo)
    while todo:
        path = todo.pop()
        if DOCS not in path.parents:
            page = File.generated(config, _uri(path), content=_page_of(path))
            page.inclusion = InclusionLevel.NOT_IN_NAV
            files.append(page)
        for target in _targets(path):
            if target.exists() and DOCS not in target.parents and target not in seen:
                seen.add(target)
                todo.append(target)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links that leave the folder of documents at the pages of the files."""
    source = _path(page.file.src_uri)
    here = os.path.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / match[1]))
        if not target.exists():
            log.warning("%s links to %s, which does not exist", page.file.src_uri, match[1])
            return match[0]
        if ROOT not in target.parents or (DOCS in target.parents and source.is_relative_to(DOCS)):
            return match[0]  # MkDocs checks links between its own pages
        return f"]({os.path.relpath(_uri(target), here)}{match[2] or ''})"

    if source.suffix != ".md":
        return markdown
    text, at = "", 0
    for fence in FENCE.finditer(markdown):
        text += LINK.sub(moved, markdown[at : fence.start()]) + fence[0]
        at = fence.end()
    return text + LINK.sub(moved, markdown[at:])


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Load Mermaid on pages with a diagram, before the theme would fetch it from elsewhere."""
    if 'class="mermaid"' not in output:
        return output
    source = os.path.relpath(MERMAID, os.path.dirname(page.file.dest_uri))
    return output.replace("</head>", f'<script src="{source}"></script></head>', 1)


def _mermaid() -> bytes:
    spec = importlib.util.find_spec("mmdc")
    assert spec is not None, "mmdc is not installed: pip install '.[docs]'"
    assert spec.origin is not None
    script = (Path(spec.origin).parent / "assets" / "mermaid.js").read_bytes()
    if hashlib.sha256(script).hexdigest() != MERMAID_SHA256:
        raise SystemExit("mmdc holds another mermaid.js than the one that was checked")
    return script


def _targets(path: Path) -> list[Path]:
    """The files and folders that a document links to."""
    if path.suffix != ".md":
        return []
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return [Path(os.path.normpath(path.parent / match[1])) for match in LINK.finditer(text)]


def _uri(path: Path) -> str:
    """Where the page of a file of the repository is on the site."""
    if DOCS in path.parents:
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    return f"source/{name}" if path.suffix == ".md" else f"source/{name}.md"


def _path(uri: str) -> Path:
    """The file of the repository that a page shows."""
    if not uri.startswith("source/"):
        return DOCS / uri
    name = uri.removeprefix("source/")
    return ROOT / name if (ROOT / name).is_file() else ROOT / name.removesuffix(".md")


def _page_of(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        names = sorted(p.name + "/" * p.is_dir() for p in path.iterdir() if p.name[0] not in "_.")
        return f"# {name}/\n\n" + "".join(f"- `{entry}`\n" for entry in names)
    language = LANGUAGES.get(path.suffix, "text")
    text = path.read_text(encoding="utf-8", errors="replace")
    return f"# {name}\n\n~~~~~~{language}\n{text}\n~~~~~~\n"
